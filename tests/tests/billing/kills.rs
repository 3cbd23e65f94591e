//! A worker is killed at every step between "the charge is sent" and "it is in the books": there is one charge, one payment,
//! and books that say so.

use std::time::Duration;

use harness::stripe_simulator::{Card, Hold, SECRET_KEY, StripeSimulator, WEBHOOK_SECRET};
use harness::{AppOptions, Owner, poll_async};
use serde_json::json;

use crate::desk::Desk;

/// The lease of who asks is over well within it, whoever died with it.
const BOUND: Duration = Duration::from_secs(120);
const WORKERS: &str = "pytake-workers";

/// A statement sleeps where it touches a table, so that a worker can be killed in its transaction.
fn sleep_at(name: &str, event: &str) -> String {
    format!(
        "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(300); RETURN NEW; END $$;
        CREATE TRIGGER {name} BEFORE {event} EXECUTE FUNCTION {name}()"
    )
}

/// What is asleep ends with its transaction, as it does when its client is dead.
const WAKE: &str = "
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE usename = 'pytake_worker' AND datname = current_database()";

struct Stage {
    desk: Desk,
    stripe: StripeSimulator,
    owner: Owner,
}

impl Stage {
    async fn open() -> Self {
        let stripe = StripeSimulator::start(1).await;
        let settings = vec![
            ("PYTAKE_PAYMENTS__SANDBOX", "false".to_owned()),
            ("PYTAKE_PAYMENTS__STRIPE__SECRET_KEY", SECRET_KEY.to_owned()),
            ("PYTAKE_PAYMENTS__STRIPE__BASE_URL", stripe.url().to_owned()),
            ("PYTAKE_PAYMENTS__STRIPE__WEBHOOK_SECRETS", format!("[{WEBHOOK_SECRET:?}]")),
            ("PYTAKE_PAYMENTS__TIMEOUT_SECONDS", "5".to_owned()),
            ("PYTAKE_WORKERS__SILENCE_SECONDS", "3".to_owned()),
        ];
        let desk = Desk::with(AppOptions { settings, ..AppOptions::default() }).await;
        let owner = desk.app.tenant("acme", "Free").await;
        Self { desk, stripe, owner }
    }

    async fn buy(&self) {
        let card = self.stripe.card(Card::Pays);
        let wish = json!({ "new_plan": "Starter", "payment_method": card });
        self.owner.post(&self.owner.path("/upgrade"), wish).await.expect(200);
    }

    /// Waits until a query finds something.
    async fn until(&self, sql: &str) {
        let found =
            poll_async(BOUND, async || (self.desk.ask::<i64>(sql).await[0] > 0).then_some(()));
        assert!(found.await.is_some(), "never: {sql}");
    }

    async fn asleep(&self) {
        self.until("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND usename = 'pytake_worker'")
            .await;
    }

    async fn kill(&mut self) {
        self.desk.app.process(WORKERS).kill();
        self.desk.alter(WAKE).await;
    }

    /// A worker goes on, and in the end there is one of everything.
    async fn goes_on(mut self) {
        self.desk.app.restart(WORKERS).await;
        self.until("SELECT count(*) FROM invoices WHERE status = 'Paid'").await;
        self.desk.app.wait_for_jobs().await;
        let book = self.stripe.book();
        let taken: Vec<_> = book.iter().map(|one| (one.captured, one.captures)).collect();
        assert_eq!(taken, [(2_900, 1)], "{book:?}");
        let payments: Vec<i64> = self.desk.ask("SELECT amount_minor FROM payments").await;
        assert_eq!(payments, [2_900]);
        assert_eq!(self.desk.accounts().await, ["CashStripe 2900", "Revenue -2900"]);
        self.desk.books_hold().await;
    }
}

#[tokio::test]
async fn before_the_provider_has_heard_of_it() {
    let mut stage = Stage::open().await;
    stage.stripe.holds(Some(Hold::Before));
    stage.buy().await;
    assert!(poll_async(BOUND, async || (stage.stripe.held() > 0).then_some(())).await.is_some());
    stage.kill().await;
    // It arrives late, all the same.
    stage.stripe.holds(None);
    stage.goes_on().await;
}

#[tokio::test]
async fn after_the_provider_has_taken_the_money_and_before_it_has_said_so() {
    let mut stage = Stage::open().await;
    stage.stripe.holds(Some(Hold::After));
    stage.buy().await;
    assert!(poll_async(BOUND, async || (stage.stripe.held() > 0).then_some(())).await.is_some());
    stage.kill().await;
    stage.stripe.holds(None);
    stage.goes_on().await;
}

#[tokio::test]
async fn after_the_provider_has_said_so_and_before_anything_is_written() {
    let mut stage = Stage::open().await;
    stage.desk.alter(&sleep_at("wait_here", "UPDATE OF state ON charges FOR EACH ROW")).await;
    stage.buy().await;
    stage.asleep().await;
    stage.kill().await;
    stage.desk.alter("DROP TRIGGER wait_here ON charges").await;
    stage.goes_on().await;
}

#[tokio::test]
async fn between_the_payment_and_the_books() {
    let mut stage = Stage::open().await;
    stage
        .desk
        .alter(&sleep_at(
            "wait_here",
            "INSERT ON ledger_entries FOR EACH ROW WHEN (NEW.account = 'CashStripe')",
        ))
        .await;
    stage.buy().await;
    stage.asleep().await;
    stage.kill().await;
    stage.desk.alter("DROP TRIGGER wait_here ON ledger_entries").await;
    stage.goes_on().await;
}

#[tokio::test]
async fn after_the_books_and_before_the_job_is_done() {
    let mut stage = Stage::open().await;
    let done = "UPDATE ON apalis.jobs FOR EACH ROW WHEN (NEW.status = 'Done' AND NEW.job_type = 'payments')";
    stage.desk.alter(&sleep_at("wait_here", done)).await;
    stage.buy().await;
    stage.asleep().await;
    stage.kill().await;
    stage.desk.alter("DROP TRIGGER wait_here ON apalis.jobs").await;
    stage.goes_on().await;
}
