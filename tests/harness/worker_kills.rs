//! The proof of the queue: jobs whose effect is one row each, while workers are killed again and again and Postgres once;
//! and what their effect was in the end.

use std::time::Duration;

use jobs::{Options, enqueue_all};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sqlx::Row as _;

use crate::trial_jobs::Effect;
use crate::wait::poll_async;
use crate::{FleetOptions, WorkerFleet};

/// Longest time for what the killed held to be taken over and done.
const DONE_WITHIN: Duration = Duration::from_secs(300);

/// How much, and how often.
#[derive(Debug, Clone, Copy)]
pub struct WorkerKills {
    /// Jobs.
    jobs: i64,
    /// How long each takes.
    milliseconds: u64,
    /// Worker processes.
    processes: usize,
    /// Kills of one of them.
    kills: u32,
    /// Time between two.
    pause: Duration,
    /// Silence after which a worker is taken for dead.
    silence_seconds: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerKillsOutcome {
    /// Jobs without an effect.
    pub lost: u64,
    /// Effects beyond one a job.
    pub duplicated: u64,
    /// Jobs that are not done: they wait, are held, or were given up.
    pub not_done: Vec<String>,
    /// Jobs that took more than one attempt.
    pub repeated: i64,
}

impl WorkerKills {
    /// At every run of the tests.
    pub const SMALL: Self = Self {
        jobs: 3_000,
        milliseconds: 60,
        processes: 3,
        kills: 4,
        pause: Duration::from_millis(700),
        silence_seconds: 3,
    };
    /// The whole of it.
    pub const FULL: Self = Self {
        jobs: 50_000,
        milliseconds: 150,
        processes: 6,
        kills: 30,
        pause: Duration::from_secs(2),
        silence_seconds: 6,
    };

    /// Does it, on real processes and a Postgres of its own; `seed` chooses whom and when.
    ///
    /// # Panics
    /// When the servers do not come back.
    pub async fn run(self, seed: u64) -> WorkerKillsOutcome {
        let mut fleet = WorkerFleet::start(FleetOptions {
            processes: self.processes,
            arguments: vec!["--queues", "effect"],
            settings: vec![("PYTAKE_WORKERS__SILENCE_SECONDS", self.silence_seconds.to_string())],
            own_postgres: true,
            ..FleetOptions::default()
        })
        .await;
        self.enqueue(&fleet).await;
        self.kill(&mut fleet, seed).await;
        self.outcome(&fleet).await
    }

    async fn enqueue(self, fleet: &WorkerFleet) {
        let jobs: Vec<_> = (0..self.jobs)
            .map(|number| Effect { number, milliseconds: self.milliseconds })
            .collect();
        let jobs: Vec<_> = jobs.iter().map(|job| (job, Options::default())).collect();
        let mut tx = fleet.store().control().await.expect("a transaction");
        let added = enqueue_all(&mut tx, &jobs).await.expect("jobs");
        assert_eq!(added, self.jobs.unsigned_abs());
        tx.commit().await.expect("a commit");
    }

    async fn kill(self, fleet: &mut WorkerFleet, seed: u64) {
        let mut dice = StdRng::seed_from_u64(seed);
        let of_postgres = dice.random_range(self.kills / 4..self.kills * 3 / 4);
        for kill in 0..self.kills {
            tokio::time::sleep(self.pause.mul_f64(dice.random_range(0.75..1.25))).await;
            let victim = dice.random_range(0..self.processes);
            fleet.process(victim).kill();
            if kill == of_postgres {
                fleet.restart_postgres(Duration::from_millis(dice.random_range(0..500))).await;
            }
            fleet.start_again(victim);
        }
    }

    async fn outcome(self, fleet: &WorkerFleet) -> WorkerKillsOutcome {
        let connection = tokio::sync::Mutex::new(fleet.admin().await);
        let open = "SELECT EXISTS (SELECT FROM apalis.jobs WHERE job_type = 'effect' AND status <> 'Done')";
        let done = poll_async(DONE_WITHIN, async || {
            let open: bool =
                sqlx::query_scalar(open).fetch_one(&mut *connection.lock().await).await.ok()?;
            (!open).then_some(())
        });
        // What is not done then is in the outcome.
        let _ = done.await;
        let connection = &mut *connection.lock().await;
        let sql = "SELECT (SELECT count(*) FROM effects), (SELECT count(*) FROM effect_log),
            (SELECT count(*) FROM apalis.jobs WHERE attempts > 1)";
        let row = sqlx::query(sql).fetch_one(&mut *connection).await.expect("counts");
        let (effects, logged): (i64, i64) = (row.get(0), row.get(1));
        let sql =
            "SELECT concat_ws(' ', id, status, attempts, last_result, errors) FROM apalis.jobs
            WHERE job_type = 'effect' AND status <> 'Done' ORDER BY id LIMIT 10";
        let not_done = sqlx::query_scalar(sql).fetch_all(&mut *connection).await.expect("jobs");
        WorkerKillsOutcome {
            lost: (self.jobs - effects).unsigned_abs(),
            duplicated: (logged - effects).unsigned_abs(),
            not_done,
            repeated: row.get(2),
        }
    }
}
