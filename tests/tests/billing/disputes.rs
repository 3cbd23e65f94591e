//! Payments that their payers dispute: nobody is chased meanwhile, and the books hold the money apart until it is decided.

use harness::stripe_simulator::{Card, Move};

use crate::card_desk::CardDesk;

const PAUSED: &str = "SELECT count(*) FROM dunning_cases WHERE ended_at IS NULL AND paused_at IS NOT NULL AND next_at IS NULL";
const GOES_ON: &str = "SELECT count(*) FROM dunning_cases WHERE ended_at IS NULL AND paused_at IS NULL AND next_at IS NOT NULL";

/// A tenant that has paid for Starter and cannot pay what Pro costs more: it is chased for that.
async fn chased() -> CardDesk {
    let stage = CardDesk::told().await;
    stage.pay("Starter").await;
    stage.buy("Pro", Card::Lost).await;
    stage.until(GOES_ON).await;
    stage
}

#[tokio::test]
async fn nobody_is_chased_while_one_is_open_and_won_the_money_is_there_again() {
    let stage = chased().await;
    let owed = stage.desk.accounts().await;

    stage.stripe.happens(&stage.owner.tenant_id, Move::Disputes);
    stage.until(PAUSED).await;
    let accounts = stage.desk.accounts().await;
    assert!(accounts.contains(&"Disputed 2900".to_owned()), "{accounts:?}");
    assert!(!accounts.iter().any(|account| account.starts_with("CashStripe")), "{accounts:?}");
    assert_eq!(stage.audited("payment.disputed").await, 1);

    // Five days pass; the clock of the case stands still meanwhile.
    let began = "SELECT extract(epoch FROM now() - began_at)::bigint / 86400 FROM dunning_cases";
    let older = "UPDATE dunning_cases SET began_at = began_at - interval '5 days', paused_at = paused_at - interval '5 days'";
    stage.desk.alter(older).await;
    assert_eq!(stage.desk.ask::<i64>(began).await, [5]);
    stage.stripe.happens(&stage.owner.tenant_id, Move::Wins);
    stage.until(GOES_ON).await;
    assert_eq!(stage.desk.ask::<i64>(began).await, [0]);
    assert_eq!(stage.desk.accounts().await, owed);
    assert_eq!(stage.audited("dispute.closed").await, 1);

    // Told of all of it again, twice and in any order, nothing changes.
    stage.stripe.tells_all_again().await;
    stage.desk.app.wait_for_jobs().await;
    assert_eq!(stage.desk.accounts().await, owed);
    assert_eq!(stage.audited("payment.disputed").await, 1);
}

#[tokio::test]
async fn lost_the_money_is_gone_and_the_invoice_stays_paid() {
    let stage = CardDesk::told().await;
    let invoice = stage.pay("Starter").await;

    stage.stripe.happens(&stage.owner.tenant_id, Move::Disputes);
    stage.until("SELECT count(*) FROM disputes WHERE state = 'Open'").await;
    stage.stripe.happens(&stage.owner.tenant_id, Move::Loses);
    stage.until("SELECT count(*) FROM disputes WHERE state = 'Lost'").await;
    assert_eq!(stage.desk.accounts().await, ["BadDebt 2900", "Revenue -2900"]);
    assert_eq!(invoice.stands(&stage.owner).await, "Paid 0");
    assert_eq!(stage.reconciled().await, []);
}

/// Both of its webhooks come when it is over: each reads what is so by then, and it is booked once.
#[tokio::test]
async fn one_that_is_heard_of_when_it_is_over_is_booked_once() {
    let stage = CardDesk::told().await;
    stage.pay("Starter").await;
    stage.stripe.tells("http://127.0.0.1:1");
    stage.stripe.happens(&stage.owner.tenant_id, Move::Disputes);
    stage.stripe.happens(&stage.owner.tenant_id, Move::Loses);
    stage.stripe.tells(&stage.desk.app.url());
    stage.stripe.tells_all_again().await;
    stage.until("SELECT count(*) FROM disputes WHERE state = 'Lost'").await;
    stage.desk.app.wait_for_jobs().await;
    assert_eq!(stage.desk.accounts().await, ["BadDebt 2900", "Revenue -2900"]);
    assert_eq!(
        (stage.audited("payment.disputed").await, stage.audited("dispute.closed").await),
        (0, 1)
    );
}
