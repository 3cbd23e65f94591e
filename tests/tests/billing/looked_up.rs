//! What ends without a word, because its webhook is lost, is looked up.

use harness::stripe_simulator::{Card, Move};

use crate::card_desk::CardDesk;

impl CardDesk {
    async fn poll(&self) {
        let job =
            r#"SELECT apalis.enqueue('payments', '{"version": 1, "job": {"step": "poll"}}', 25)"#;
        self.desk.alter(job).await;
    }
}

#[tokio::test]
async fn a_charge_that_takes_days() {
    let stage = CardDesk::open().await;
    let invoice = stage.buy("Starter", Card::TakesDays).await;
    stage.until("SELECT count(*) FROM charges WHERE state = 'Processing'").await;
    stage.stripe.happens(&stage.owner.tenant_id, Move::Pays);
    stage.pass(2).await;
    assert_eq!(invoice.stands(&stage.owner).await, "Open 2900");

    stage.poll().await;
    stage.until("SELECT count(*) FROM invoices WHERE status = 'Paid'").await;
    assert_eq!(stage.desk.accounts().await, ["CashStripe 2900", "Revenue -2900"]);
}

#[tokio::test]
async fn a_dispute_that_ends() {
    let stage = CardDesk::told().await;
    stage.pay("Starter").await;
    stage.stripe.happens(&stage.owner.tenant_id, Move::Disputes);
    stage.until("SELECT count(*) FROM disputes WHERE state = 'Open'").await;

    stage.stripe.tells("http://127.0.0.1:1");
    stage.stripe.happens(&stage.owner.tenant_id, Move::Wins);
    stage.poll().await;
    stage.until("SELECT count(*) FROM disputes WHERE state = 'Won'").await;
    assert_eq!(stage.desk.accounts().await, ["CashStripe 2900", "Revenue -2900"]);
}
