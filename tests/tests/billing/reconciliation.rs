//! Where the provider's money and the books differ it is found, and ends: by itself, by entries that an operator asks for,
//! or with a reason.

use harness::stripe_simulator::{Card, Move};
use serde_json::json;

use crate::card_desk::{CardDesk, Difference};
use crate::desk::balance;

impl CardDesk {
    async fn repair(&self, found: &Difference) {
        self.desk.operator.post(&found.act("/repair"), json!({})).await.expect(202);
        self.desk.app.wait_for_jobs().await;
    }

    async fn one_difference(&self) -> Difference {
        let found = self.reconciled().await;
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }
}

#[tokio::test]
async fn what_was_paid_without_a_word_is_settled() {
    let stage = CardDesk::open().await;
    let invoice = stage.buy("Starter", Card::TakesDays).await;
    stage.until("SELECT count(*) FROM charges WHERE state = 'Processing'").await;
    assert_eq!(stage.reconciled().await, [], "what is under way is not there on either side");
    stage.stripe.happens(&stage.owner.tenant_id, Move::Pays);

    let found = stage.one_difference().await;
    assert_eq!((found.says(), found.is_of_us), (("Payment", None, Some(2_900)), true));
    stage.repair(&found).await;
    assert_eq!(invoice.stands(&stage.owner).await, "Paid 0");
    assert_eq!(stage.desk.accounts().await, ["CashStripe 2900", "Revenue -2900"]);
    assert_eq!(stage.audited("ledger.repaired").await, 1);
    stage.desk.operator.post(&found.act("/repair"), json!({})).await.expect(409);
    assert_eq!(stage.reconciled().await, []);
    let acts = stage.desk.acts().await;
    assert_eq!(acts, ["difference.repaired"]);
}

/// More is the customer's, and goes to the credit; less is lost, because what was paid stays paid.
#[tokio::test]
async fn what_is_of_another_amount_is_booked() {
    let stage = CardDesk::open().await;
    let invoice = stage.pay("Starter").await;
    stage.stripe.happens(&stage.owner.tenant_id, Move::Differs(3_000));
    let found = stage.one_difference().await;
    assert_eq!(found.says(), ("Payment", Some(2_900), Some(3_000)));
    stage.repair(&found).await;
    assert_eq!(balance(&stage.owner).await, 100);
    assert_eq!(stage.desk.accounts().await, ["CashStripe 3000", "Credit -100", "Revenue -2900"]);
    assert_eq!(invoice.stands(&stage.owner).await, "Paid 0");
    // It is explained; that it is of another amount than was recorded does not open it again.
    assert_eq!(stage.reconciled().await, []);
}

#[tokio::test]
async fn what_did_not_arrive_whole_is_lost() {
    let stage = CardDesk::open().await;
    let invoice = stage.pay("Starter").await;
    stage.stripe.happens(&stage.owner.tenant_id, Move::Differs(2_500));
    let found = stage.one_difference().await;
    stage.repair(&found).await;
    assert_eq!(stage.desk.accounts().await, ["BadDebt 400", "CashStripe 2500", "Revenue -2900"]);
    assert_eq!(invoice.stands(&stage.owner).await, "Paid 0");
    assert_eq!(stage.reconciled().await, []);
}

/// It was opened days before it was heard of: both sides date it alike, so that no difference is left of it.
#[tokio::test]
async fn a_dispute_and_a_refund_that_came_back_without_a_word_are_settled() {
    let stage = CardDesk::open().await;
    let invoice = stage.pay("Pro").await;
    let credit = json!({
        "reason": "An outage", "refund": true, "lines": [{ "line": 1, "amount_minor": 4_000 }],
    });
    stage.desk.operator.post(&invoice.act("/credit-notes"), credit).await.expect(201);
    // It was asked for long before the provider heard of it.
    stage.desk.alter("UPDATE refunds SET created_at = created_at - interval '40 days'").await;
    stage.pass(29 * 24).await;
    stage.stripe.happens(&stage.owner.tenant_id, Move::SendsBack);
    let found = stage.one_difference().await;
    assert_eq!(found.says(), ("Refund", Some(4_000), None));
    stage.repair(&found).await;
    assert_eq!(balance(&stage.owner).await, 4_000);
    assert_eq!(stage.reconciled().await, []);

    stage.stripe.happens(&stage.owner.tenant_id, Move::Disputes);
    stage.pass(3 * 24).await;
    let found = stage.one_difference().await;
    assert_eq!(found.says(), ("Dispute", None, Some(9_900)));
    stage.repair(&found).await;
    let accounts = stage.desk.accounts().await;
    assert!(accounts.contains(&"Disputed 9900".to_owned()), "{accounts:?}");
    let opened = "SELECT (now() - opened_at > interval '3 days')::text FROM disputes";
    assert_eq!(stage.desk.ask::<String>(opened).await, ["true"]);
    assert_eq!(stage.reconciled().await, []);
}

/// Nothing is overlooked because nobody compared for longer than a comparison looks back.
#[tokio::test]
async fn what_moved_while_nobody_compared_is_found_afterwards() {
    let stage = CardDesk::open().await;
    stage.pay("Starter").await;
    assert_eq!(stage.reconciled().await, []);
    stage.stripe.happens(&stage.owner.tenant_id, Move::Disputes);
    stage.pass(50 * 24).await;
    let found = stage.one_difference().await;
    assert_eq!(found.says(), ("Dispute", None, Some(2_900)));

    // It stays in sight until it is explained, however old it becomes.
    stage.pass(200 * 24).await;
    assert_eq!(stage.one_difference().await, found);
    stage.stripe.happens(&stage.owner.tenant_id, Move::Wins);
    assert_eq!(stage.reconciled().await, []);
    let ended = "SELECT state FROM reconciliation_differences";
    assert_eq!(stage.desk.ask::<String>(ended).await, ["Matched"]);
}

#[tokio::test]
async fn what_is_of_nobody_here_is_accepted_with_a_reason_or_stays() {
    let stage = CardDesk::open().await;
    stage.stripe.happens(&stage.owner.tenant_id, Move::TakenByAnother(777));
    let found = stage.one_difference().await;
    assert_eq!((found.says(), found.is_of_us), (("Payment", None, Some(777)), false));
    let operator = &stage.desk.operator;
    operator.post(&found.act("/repair"), json!({})).await.expect(409);
    for reason in ["", " ", "two\nlines"] {
        operator.post(&found.act("/accept"), json!({ "reason": reason })).await.expect(422);
    }
    assert_eq!(stage.reconciled().await.len(), 1);

    let why = json!({ "reason": "A charge of our old shop" });
    let accepted = operator.post(&found.act("/accept"), why.clone()).await.expect(200).json();
    assert_eq!((&accepted["state"], &accepted["reason"]), (&json!("Accepted"), &why["reason"]));
    operator.post(&found.act("/accept"), why).await.expect(409);
    assert_eq!(stage.reconciled().await, [], "it was accepted, and is not open again");
    assert_eq!(stage.desk.accounts().await, Vec::<String>::new());
    // Nobody but operators sees any of it.
    stage.owner.get("/api/v1/admin/reconciliation/differences").await.expect(404);
}
