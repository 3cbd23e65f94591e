//! Money that goes back by the way it came: what a credit note gives, or what was paid too much; never more than that, once,
//! and in credit again where it does not arrive.

use futures::future::join_all;
use harness::Answer;
use harness::stripe_simulator::{Card, Move};
use serde_json::{Value, json};

use crate::card_desk::CardDesk;
use crate::desk::{Invoice, balance, usd};

/// A credit note of so much of the first line.
fn note(amount_minor: i64, refund: bool) -> Value {
    json!({
        "reason": "An outage", "refund": refund, "lines": [{ "line": 1, "amount_minor": amount_minor }],
    })
}

impl CardDesk {
    async fn credit(&self, invoice: &Invoice, body: Value) -> String {
        let issued = self.desk.operator.post(&invoice.act("/credit-notes"), body).await;
        let id = issued.expect(201).text("/id");
        self.desk.app.wait_for_jobs().await;
        id
    }

    /// The path of refunds of an invoice's only payment.
    async fn refunds(&self, invoice: &Invoice) -> String {
        let id = invoice.shown(&self.owner).await["payments"][0]["id"].clone();
        let id = id.as_str().expect("a payment").to_owned();
        format!("/api/v1/admin/tenants/{}/payments/{id}/refunds", self.owner.tenant_id)
    }

    async fn refund(&self, path: &str, amount_minor: i64, note: Option<&str>) -> Answer {
        let body = json!({ "amount": usd(amount_minor), "credit_note_id": note });
        self.desk.operator.post(path, body).await
    }

    /// What the provider says has gone back.
    fn given_back(&self) -> i64 {
        self.stripe.book().iter().map(|one| one.refunded).sum()
    }
}

#[tokio::test]
async fn what_a_credit_note_gives_goes_back_to_the_card_and_no_more() {
    let stage = CardDesk::told().await;
    let invoice = stage.pay("Pro").await;

    stage.credit(&invoice, note(4_000, true)).await;
    assert_eq!((stage.given_back(), balance(&stage.owner).await), (4_000, 0));
    assert_eq!(stage.desk.accounts().await, ["CashStripe 5900", "Revenue -5900"]);
    assert_eq!(stage.audited("payment.refunded").await, 1);

    // First into the credit, and then back after all: once, however often it is asked for.
    let second = stage.credit(&invoice, note(1_000, false)).await;
    assert_eq!((stage.given_back(), balance(&stage.owner).await), (4_000, 1_000));
    let path = stage.refunds(&invoice).await;
    let asked = join_all((0..4).map(|_| stage.refund(&path, 600, Some(&second)))).await;
    let mut answered: Vec<_> = asked.iter().map(|answer| answer.status).collect();
    answered.sort_unstable();
    assert_eq!(answered, [201, 409, 409, 409]);
    stage.desk.app.wait_for_jobs().await;
    assert_eq!((stage.given_back(), balance(&stage.owner).await), (4_600, 400));

    // Nor more than one note gave, although there is more in credit.
    stage.credit(&invoice, note(2_000, false)).await;
    stage.refund(&path, 401, Some(&second)).await.expect(409);

    // Without a note nothing was paid too much; of another payment's there is nothing to give.
    stage.refund(&path, 1, None).await.expect(409);
    stage.refund(&path, 0, Some(&second)).await.expect(422);
    let euros =
        json!({ "amount": { "amount_minor": 1, "currency": "EUR" }, "credit_note_id": second });
    stage.desk.operator.post(&path, euros).await.expect(422);
    assert_eq!(stage.desk.accounts().await, ["CashStripe 5300", "Credit -2400", "Revenue -2900"]);
    assert_eq!(stage.reconciled().await, []);
}

#[tokio::test]
async fn one_request_that_is_repeated_is_one_refund() {
    let stage = CardDesk::told().await;
    let invoice = stage.pay("Pro").await;
    let note = stage.credit(&invoice, note(1_000, false)).await;
    let path = stage.refunds(&invoice).await;
    let operator = stage.desk.operator.clone().with("idempotency-key", "refund-1");
    let body = json!({ "amount": usd(300), "credit_note_id": note });
    let first = operator.post(&path, body.clone()).await.expect(201).json();
    let again = operator.post(&path, body).await.expect(201).json();
    assert_eq!(first, again);
    stage.desk.app.wait_for_jobs().await;
    assert_eq!(stage.given_back(), 300);
    let shown = format!("/api/v1/admin/tenants/{}/refunds/{}", stage.owner.tenant_id, {
        first["id"].as_str().expect("an id")
    });
    let shown = stage.desk.operator.get(&shown).await.expect(200).json();
    assert_eq!(shown["state"], "Succeeded");
}

#[tokio::test]
async fn what_was_paid_too_much_goes_back_and_what_was_spent_meanwhile_does_not() {
    let stage = CardDesk::told().await;
    let invoice = stage.buy("Pro", Card::TakesDays).await;
    stage.until("SELECT count(*) FROM charges WHERE state = 'Processing'").await;
    // Somebody pays by hand while the card takes its days: both arrive.
    let by_hand = json!({ "reference": "statement 1" });
    stage.desk.operator.post(&invoice.act("/payments"), by_hand).await.expect(200);
    stage.stripe.happens(&stage.owner.tenant_id, Move::Pays);
    stage
        .until("SELECT count(*) FROM payments WHERE provider = 'Stripe' AND excess_minor = 9900")
        .await;
    stage.desk.app.wait_for_jobs().await;
    assert_eq!(balance(&stage.owner).await, 9_900);

    let payments = invoice.shown(&stage.owner).await["payments"].clone();
    let payments = payments.as_array().expect("a list").iter();
    let of_card = payments.clone().find(|one| one["provider"] == "Stripe").expect("a payment");
    let path = format!(
        "/api/v1/admin/tenants/{}/payments/{}/refunds",
        stage.owner.tenant_id,
        of_card["id"].as_str().expect("an id")
    );
    stage.refund(&path, 9_901, None).await.expect(409);
    stage.refund(&path, 4_000, None).await.expect(201);
    stage.desk.app.wait_for_jobs().await;
    assert_eq!((stage.given_back(), balance(&stage.owner).await), (4_000, 5_900));

    // The rest pays for a dearer plan, and is not there any more.
    stage.buy("Enterprise", Card::Pays).await;
    stage.desk.app.wait_for_jobs().await;
    assert_eq!(balance(&stage.owner).await, 0);
    let spent = stage.refund(&path, 1, None).await.expect(409).json();
    assert!(spent["detail"].as_str().expect("words").contains("in credit"), "{spent}");
    assert_eq!(stage.given_back(), 4_000);
}

#[tokio::test]
async fn what_is_disputed_does_not_go_back_besides() {
    let stage = CardDesk::told().await;
    let invoice = stage.pay("Pro").await;
    let note = stage.credit(&invoice, note(4_000, false)).await;
    stage.stripe.happens(&stage.owner.tenant_id, Move::Disputes);
    stage.until("SELECT count(*) FROM disputes WHERE state = 'Open'").await;
    let path = stage.refunds(&invoice).await;
    let refused = stage.refund(&path, 4_000, Some(&note)).await.expect(409).json();
    assert!(refused["detail"].as_str().expect("words").contains("at most 0"), "{refused}");

    stage.stripe.happens(&stage.owner.tenant_id, Move::Wins);
    stage.until("SELECT count(*) FROM disputes WHERE state = 'Won'").await;
    stage.refund(&path, 4_000, Some(&note)).await.expect(201);
    stage.desk.app.wait_for_jobs().await;
    assert_eq!((stage.given_back(), balance(&stage.owner).await), (4_000, 0));
}

#[tokio::test]
async fn one_that_does_not_arrive_is_in_credit_again() {
    let stage = CardDesk::told().await;
    let invoice = stage.pay("Pro").await;
    stage.credit(&invoice, note(4_000, true)).await;
    assert_eq!(balance(&stage.owner).await, 0);

    stage.stripe.happens(&stage.owner.tenant_id, Move::SendsBack);
    stage.until("SELECT count(*) FROM refunds WHERE state = 'Failed'").await;
    stage.desk.app.wait_for_jobs().await;
    assert_eq!((stage.given_back(), balance(&stage.owner).await), (0, 4_000));
    assert_eq!(stage.desk.accounts().await, ["CashStripe 9900", "Credit -4000", "Revenue -5900"]);
    assert_eq!(stage.reconciled().await, []);
}
