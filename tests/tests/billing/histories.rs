//! Getting paid through a provider that misbehaves, by random histories: no invoice is charged twice, none is paid
//! unnoticed, and in the end the books say what the provider's say. Workers are killed all the while.
//!
//! Full scale, 1,000 histories: `deploy/test --soak payments`. `HARNESS_SEED` repeats the choices of a run.

mod checks;
mod quiet;
mod steps;

use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use harness::stripe_simulator::{Card, SECRET_KEY, StripeSimulator, WEBHOOK_SECRET};
use harness::{Actor, AppOptions, Owner, SECOND_WORKERS, variable};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::desk::{AGE, Desk};

/// How many days may pass at once: some, until a retry, or a whole month. Not as many as a month has: a period may not
/// take the place of the one before.
const DAYS: [i64; 8] = [1, 1, 2, 3, 5, 8, 16, 33];
/// How long jobs are waited for before days pass. Some are under way then, as they would be.
const SETTLED_WITHIN: Duration = Duration::from_millis(1500);

/// Tenants that live at the same time.
const AT_ONCE: usize = 8;

/// How much happens.
struct Scale {
    /// Installations, one after the other.
    batches: u64,
    /// Tenants of each: a history each.
    tenants: u64,
    /// In each round a tenant does some things, and days pass.
    rounds: u64,
}

const SMALL: Scale = Scale { batches: 1, tenants: 12, rounds: 8 };
const FULL: Scale = Scale { batches: 10, tenants: 100, rounds: 10 };

/// A tenant, and what it does.
struct History {
    seed: u64,
    owner: Owner,
    dice: StdRng,
}

/// An installation that is paid through the simulator.
struct Stage {
    desk: Desk,
    operator: Actor,
    stripe: StripeSimulator,
    database: PgPool,
    histories: Vec<History>,
    dice: StdRng,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_through_a_provider_that_misbehaves_are_neither_lost_nor_taken_twice() {
    let scale = if variable("HARNESS_SOAK").is_some() { FULL } else { SMALL };
    let given = variable("HARNESS_SEED").and_then(|text| text.parse().ok());
    let first: u64 = given.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    for batch in 0..scale.batches {
        let seed = first + batch * scale.tenants;
        say(&format!("histories of the seeds {seed}..{}", seed + scale.tenants));
        let mut stage = Stage::open(seed, scale.tenants).await;
        for _ in 0..scale.rounds {
            stage.round().await;
        }
        stage.quiet().await;
        stage.check().await;
        say(&format!("they hold, after {} faults", stage.stripe.faults()));
        stage.database.close().await;
    }
}

#[expect(clippy::print_stderr, reason = "whoever wants to repeat it needs the seed")]
fn say(text: &str) {
    eprintln!("{text}");
}

fn settings(stripe: &StripeSimulator) -> Vec<(&'static str, String)> {
    [
        ("PYTAKE_PAYMENTS__SANDBOX", "false".to_owned()),
        ("PYTAKE_PAYMENTS__TIMEOUT_SECONDS", "1".to_owned()),
        ("PYTAKE_PAYMENTS__STRIPE__SECRET_KEY", SECRET_KEY.to_owned()),
        ("PYTAKE_PAYMENTS__STRIPE__BASE_URL", stripe.url().to_owned()),
        ("PYTAKE_PAYMENTS__STRIPE__WEBHOOK_SECRETS", format!("[\"{WEBHOOK_SECRET}\"]")),
        ("PYTAKE_BILLING__GRACE_MINUTES", "0".to_owned()),
        ("PYTAKE_WORKERS__SILENCE_SECONDS", "2".to_owned()),
    ]
    .to_vec()
}

impl Stage {
    async fn open(seed: u64, tenants: u64) -> Self {
        let stripe = StripeSimulator::start(seed).await;
        let options = AppOptions {
            settings: settings(&stripe),
            // Workers are killed, and the provider fails.
            errors_expected: true,
            jobs_may_remain: true,
            ..AppOptions::default()
        };
        let mut desk = Desk::with(options).await;
        desk.app.more_workers().await;
        stripe.tells(&desk.app.url());
        let url = desk.app.database().url();
        let database = PgPoolOptions::new().max_connections(4).connect(&url).await.expect("a pool");
        let begin = async |seed: u64| {
            let owner = desk.app.tenant(&format!("history-{seed}"), "Pro").await;
            let mut dice = StdRng::seed_from_u64(seed);
            let card = stripe.card(any_card(&mut dice));
            let wish = json!({ "new_plan": "Pro", "payment_method": card });
            owner.post(&owner.path("/upgrade"), wish).await.expect(200);
            History { seed, owner, dice }
        };
        let begun = stream::iter(seed..seed + tenants).map(begin).buffered(AT_ONCE);
        let histories = begun.collect().await;
        let operator = desk.operator.clone();
        let dice = StdRng::seed_from_u64(!seed);
        Self { desk, operator, stripe, database, histories, dice }
    }

    /// Everybody does something, a worker is killed, and days pass.
    async fn round(&mut self) {
        self.stripe.misbehaves(true);
        let kills = self.dice.random_bool(0.5);
        let name = if self.dice.random_bool(0.5) { "pytake-workers" } else { SECOND_WORKERS };
        let pause = Duration::from_millis(self.dice.random_range(50..800));
        let Self { operator, stripe, database, histories, desk, .. } = &mut *self;
        let life = steps::World { operator, stripe, database };
        let lives = stream::iter(histories.iter_mut()).for_each_concurrent(AT_ONCE, |history| {
            let life = &life;
            async move { steps::live(life, history).await }
        });
        let app = &mut desk.app;
        let killing = async {
            tokio::time::sleep(pause).await;
            if kills {
                app.process(name).kill();
                app.start_again(name);
            }
        };
        tokio::join!(lives, killing);
        self.settle_down().await;
        let days = DAYS[self.dice.random_range(0..DAYS.len())];
        self.pass(days).await;
    }

    /// What is due is done, or not all of it.
    async fn settle_down(&self) {
        let due = "SELECT count(*) FROM apalis.jobs WHERE job_type IN ('billing', 'payments') AND run_at <= now()
            AND (status IN ('Pending', 'Queued', 'Running') OR (status = 'Failed' AND attempts < max_attempts))";
        let done = harness::poll_async(SETTLED_WITHIN, async || {
            (self.count(due).await == 0).then_some(())
        });
        let _ = done.await;
    }

    /// Days pass, for us and the provider.
    async fn pass(&self, days: i64) {
        // In the order in which workers lock.
        let first = "BEGIN; SELECT FROM subscriptions FOR UPDATE;";
        let age = AGE.replacen("BEGIN;", first, 1).replace("{days}", &days.to_string());
        self.alter(&age).await;
        let chased = format!(
            "BEGIN;
            SELECT FROM subscriptions FOR UPDATE;
            UPDATE dunning_cases SET began_at = began_at - interval '{days} days', next_at = next_at - interval '{days} days',
                paused_at = paused_at - interval '{days} days';
            UPDATE charges SET created_at = created_at - interval '{days} days', sent_at = sent_at - interval '{days} days',
                settled_at = settled_at - interval '{days} days';
            UPDATE refunds SET created_at = created_at - interval '{days} days', begun_at = begun_at - interval '{days} days';
            UPDATE disputes SET opened_at = opened_at - interval '{days} days';
            UPDATE reconciliations SET from_at = from_at - interval '{days} days', to_at = to_at - interval '{days} days';
            UPDATE reconciliation_differences SET begun_at = begun_at - interval '{days} days';
            UPDATE subscriptions SET parked_at = NULL, parked_reason = NULL;
            COMMIT"
        );
        self.alter(&chased).await;
        self.alter(quiet::HURRY).await;
        self.stripe.ages(days * 24 * 3600);
        self.stripe.forgets_keys();
        for job in [
            ("billing", "run"),
            ("billing", "dun"),
            ("payments", "poll"),
            ("payments", "reconcile"),
        ] {
            self.enqueue(job).await;
        }
    }

    async fn enqueue(&self, (queue, step): (&str, &str)) {
        self.alter(&format!(
            r#"SELECT apalis.enqueue('{queue}', '{{"version": 1, "job": {{"step": "{step}"}}}}', 25, priority => 9)"#
        ))
        .await;
    }

    /// What the administrator changes, until it gets through: workers lock the same rows, in another order.
    async fn alter(&self, sql: &str) {
        let done = harness::poll_async(crate::desk::BOUND, async || {
            let sql = sqlx::AssertSqlSafe(sql.to_owned());
            let mut connection = self.database.acquire().await.expect("a connection");
            match sqlx::raw_sql(sql).execute(&mut *connection).await {
                Ok(_) => Some(()),
                Err(error) => {
                    let _ = sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await;
                    let busy = error.as_database_error().and_then(|error| error.code());
                    assert_eq!(busy.as_deref(), Some("40P01"), "{error}");
                    None
                }
            }
        });
        assert!(done.await.is_some(), "the rows are never free");
    }
}

fn any_card(dice: &mut StdRng) -> Card {
    match dice.random_range(0..10) {
        0..4 => Card::Pays,
        4 | 5 => Card::PaysAfter(dice.random_range(1..4)),
        6 => Card::Lost,
        7 => Card::Asks,
        _ => Card::TakesDays,
    }
}
