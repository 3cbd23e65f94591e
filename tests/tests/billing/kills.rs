//! A worker is killed at every step between "the charge is sent" and "it is in the books": there is one charge, one payment,
//! and books that say so.

use std::time::Duration;

use harness::poll_async;
use harness::stripe_simulator::{Card, Hold};

use crate::card_desk::CardDesk;

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

impl CardDesk {
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
    let mut stage = CardDesk::open().await;
    stage.stripe.holds(Some(Hold::Before));
    stage.buy("Starter", Card::Pays).await;
    assert!(poll_async(BOUND, async || (stage.stripe.held() > 0).then_some(())).await.is_some());
    stage.kill().await;
    // What the dead one has sent is on its way yet, and nobody asks besides.
    stage.desk.app.restart(WORKERS).await;
    stage
        .until("SELECT count(*) FROM apalis.jobs WHERE last_result::text LIKE '%somebody else is asking%'")
        .await;
    assert_eq!(stage.stripe.held(), 1);
    // It arrives late, all the same.
    stage.stripe.holds(None);
    stage.goes_on().await;
}

#[tokio::test]
async fn after_the_provider_has_taken_the_money_and_before_it_has_said_so() {
    let mut stage = CardDesk::open().await;
    stage.stripe.holds(Some(Hold::After));
    stage.buy("Starter", Card::Pays).await;
    assert!(poll_async(BOUND, async || (stage.stripe.held() > 0).then_some(())).await.is_some());
    stage.kill().await;
    stage.stripe.holds(None);
    stage.goes_on().await;
}

#[tokio::test]
async fn after_the_provider_has_said_so_and_before_anything_is_written() {
    let mut stage = CardDesk::open().await;
    stage.desk.alter(&sleep_at("wait_here", "UPDATE OF state ON charges FOR EACH ROW")).await;
    stage.buy("Starter", Card::Pays).await;
    stage.asleep().await;
    stage.kill().await;
    stage.desk.alter("DROP TRIGGER wait_here ON charges").await;
    stage.goes_on().await;
}

#[tokio::test]
async fn between_the_payment_and_the_books() {
    let mut stage = CardDesk::open().await;
    stage
        .desk
        .alter(&sleep_at(
            "wait_here",
            "INSERT ON ledger_entries FOR EACH ROW WHEN (NEW.account = 'CashStripe')",
        ))
        .await;
    stage.buy("Starter", Card::Pays).await;
    stage.asleep().await;
    stage.kill().await;
    stage.desk.alter("DROP TRIGGER wait_here ON ledger_entries").await;
    stage.goes_on().await;
}

#[tokio::test]
async fn after_the_books_and_before_the_job_is_done() {
    let mut stage = CardDesk::open().await;
    let done = "UPDATE ON apalis.jobs FOR EACH ROW WHEN (NEW.status = 'Done' AND NEW.job_type = 'payments')";
    stage.desk.alter(&sleep_at("wait_here", done)).await;
    stage.buy("Starter", Card::Pays).await;
    stage.asleep().await;
    stage.kill().await;
    stage.desk.alter("DROP TRIGGER wait_here ON apalis.jobs").await;
    stage.goes_on().await;
}
