//! Jobs that tests and benches bring, and the schedule: they run by the product's own runtime, in `trial-workers`.

use std::time::Duration;

use domain::clock::{Clock as _, SystemClock};
use futures::FutureExt as _;
use jiff::SignedDuration;
use jiff_sqlx::ToSqlx as _;
use jobs::catalog::Job;
use jobs::{Options, enqueue};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use workers::app::App;
use workers::register::Registration;
use workers::runtime::Perform;
use workers::runtime::attempt::Attempt;
use workers::runtime::outcome::Outcome;
use workers::runtime::schedule::{CatchUp, Schedule};

/// What the jobs write. Made by the test, in its own database.
const TABLES: &str = "
    -- The effect of a job, by the key that makes it idempotent.
    CREATE TABLE effects (number bigint PRIMARY KEY);
    -- Written in the transaction of the effect, and held by no constraint: shows what the key lets through.
    CREATE TABLE effect_log (number bigint NOT NULL);
    CREATE TABLE starts (number bigint NOT NULL, at timestamptz NOT NULL);
    GRANT SELECT, INSERT ON effects, effect_log, starts TO pytake_worker;";

/// Queues of `trial-workers`.
pub const REGISTER: [Registration; 3] =
    [Registration::of::<NoOp>(), Registration::of::<Effect>(), Registration::of::<Trial>()];

/// Schedules of `trial-workers`: each second a note whose number is the second's, negative.
pub const SCHEDULES: [Schedule; 1] = [Schedule {
    name: "trial.tick",
    every: SignedDuration::from_secs(1),
    catch_up: CatchUp::Each,
    add: |tx, tick| {
        async move {
            let job = Trial::Note { number: -tick.as_second() };
            enqueue(tx, &job, Options::default()).await.map(drop)
        }
        .boxed()
    },
}];

/// Does nothing.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct NoOp {}

/// Writes a row, once, in the midst of taking some time.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Effect {
    /// Its key.
    pub number: i64,
    /// How long it takes.
    pub milliseconds: u64,
}

/// Does as it is told.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Trial {
    /// Notes when it began.
    Note {
        /// As which.
        number: i64,
    },
    /// Notes when it began, and waits.
    Wait {
        /// As which.
        number: i64,
        /// How long.
        milliseconds: u64,
    },
    /// Notes when it began, and keeps its thread.
    Block {
        /// As which.
        number: i64,
        /// How long.
        milliseconds: u64,
    },
    /// Notes when it began, and ends its process.
    Abort {
        /// As which.
        number: i64,
    },
}

impl Job for NoOp {
    const QUEUE: &'static str = "noop";
    const VERSION: u16 = 1;
    const ATTEMPTS_MAX: u16 = 25;
    const TIMEOUT: Duration = Duration::from_secs(10);
}

impl Job for Effect {
    const QUEUE: &'static str = "effect";
    const VERSION: u16 = 1;
    const ATTEMPTS_MAX: u16 = 25;
    const TIMEOUT: Duration = Duration::from_secs(30);
}

impl Job for Trial {
    const QUEUE: &'static str = "trial";
    const VERSION: u16 = 1;
    const ATTEMPTS_MAX: u16 = 3;
    const TIMEOUT: Duration = Duration::from_secs(60);
}

impl Perform for NoOp {
    async fn perform(self, _: &App, _: &Attempt) -> anyhow::Result<Outcome> {
        Ok(Outcome::Done)
    }
}

impl Perform for Effect {
    async fn perform(self, app: &App, _: &Attempt) -> anyhow::Result<Outcome> {
        let half = Duration::from_millis(self.milliseconds) / 2;
        tokio::time::sleep(half).await;
        let mut tx = app.store.pool().begin().await?;
        let new = sqlx::query("INSERT INTO effects (number) VALUES ($1) ON CONFLICT DO NOTHING")
            .bind(self.number)
            .execute(&mut *tx)
            .await?;
        if new.rows_affected() == 1 {
            sqlx::query("INSERT INTO effect_log (number) VALUES ($1)")
                .bind(self.number)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        tokio::time::sleep(half).await;
        Ok(Outcome::Done)
    }
}

impl Perform for Trial {
    async fn perform(self, app: &App, _: &Attempt) -> anyhow::Result<Outcome> {
        let began = SystemClock.now();
        let (Self::Note { number }
        | Self::Wait { number, .. }
        | Self::Block { number, .. }
        | Self::Abort { number }) = self;
        sqlx::query("INSERT INTO starts (number, at) VALUES ($1, $2)")
            .bind(number)
            .bind(began.to_sqlx())
            .execute(app.store.pool())
            .await?;
        match self {
            Self::Note { .. } => {}
            Self::Wait { milliseconds, .. } => {
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            }
            Self::Block { milliseconds, .. } => {
                // What this task has woken last waits for this very thread: it is let go first.
                tokio::task::yield_now().await;
                std::thread::sleep(Duration::from_millis(milliseconds));
            }
            Self::Abort { .. } => std::process::abort(),
        }
        Ok(Outcome::Done)
    }
}

/// Makes what the jobs write.
///
/// # Panics
/// When it cannot be made.
pub async fn prepare(admin: &mut PgConnection) {
    sqlx::raw_sql(TABLES).execute(admin).await.expect("the trial jobs' tables");
}
