//! Who does not pay is chased, restricted at the edge, and back in service as soon as it is paid; all on a test clock, with
//! the sandbox's cards that fail.

use harness::{App, poll_async};
use serde_json::{Value, json};

use crate::life::{BOUND, CARD, Life, minor, start};

/// Signs up at `now` and converts with a card that fails: the first invoice is due at once.
async fn failing(app: &App, plan: &str, card: &str, now: &str) -> Life {
    let life = Life::begin(app, "acme", plan, now).await;
    life.upgrade(json!({ "new_plan": plan, "payment_method": card })).await;
    stands(&life, "PastDue").await;
    life
}

/// Waits until the subscription is shown in a state.
async fn stands(life: &Life, status: &str) {
    let there = poll_async(BOUND, async || {
        let shown = life.subscription().await;
        (shown["status"] == status).then_some(())
    });
    assert!(there.await.is_some(), "{} is not {status}", life.subscription().await);
}

/// The states of all attempts to collect the last invoice.
async fn attempts(life: &Life) -> Vec<String> {
    let invoice = life.last_invoice().await;
    let attempts = invoice["attempts"].as_array().expect("attempts").iter();
    attempts.map(|one| one["state"].as_str().expect("a state").to_owned()).collect()
}

async fn audited(life: &Life, action: &str) -> usize {
    let events = life.see(&format!("/audit-events?limit=100&action={action}")).await;
    events["data"].as_array().expect("a list").len()
}

/// §2.9: a trial ends on 2 March at 10:00, the card fails; suspended on the 16th, a new card on the 20th.
#[tokio::test]
async fn a_card_that_fails_is_tried_for_fourteen_days_and_a_new_one_brings_the_service_back() {
    let app = start().await;
    let life = Life::begin(&app, "acme", "Pro", "2026-02-16T10:00:00Z").await;
    let method = json!({ "payment_method": "card_declined" });
    life.actor.put(&life.path("/payment-methods/default"), method).await.expect(200);
    // The trial ends.
    life.advance("2026-03-02T10:00:00Z").await;
    assert_eq!(life.subscription().await["status"], "PastDue");
    assert_eq!(attempts(&life).await, ["Declined"]);
    app.mailbox().wait_for("owner@acme.example", "failed").await;
    let write = || async { life.actor.put(&life.path(""), json!({ "name": "Acme Ltd" })).await };
    write().await.expect(200);

    life.advance("2026-03-16T09:59:59Z").await;
    assert_eq!(attempts(&life).await, ["Declined"; 6]);
    let shown = life.subscription().await;
    assert_eq!((&shown["status"], &shown["access"]), (&json!("PastDue"), &json!("full")));

    life.advance("2026-03-16T10:00:00Z").await;
    assert_eq!(attempts(&life).await, ["Declined"; 7]);
    let shown = life.subscription().await;
    assert_eq!((&shown["status"], &shown["access"]), (&json!("Suspended"), &json!("read_only")));
    let refused = poll_async(BOUND, async || {
        let answer = write().await;
        (answer.status == 402).then_some(answer)
    });
    let refused = refused.await.expect("the edge refuses").json();
    assert!(refused["type"].as_str().expect("a type").ends_with("payment-required"), "{refused}");
    life.see("/users").await;
    app.mailbox().wait_for("owner@acme.example", "only be read").await;

    life.advance("2026-03-20T12:00:00Z").await;
    let method = json!({ "payment_method": CARD });
    life.actor.put(&life.path("/payment-methods/default"), method).await.expect(200);
    stands(&life, "Active").await;
    let invoice = life.last_invoice().await;
    assert_eq!(invoice["status"], "Paid", "{invoice}");
    assert_eq!(invoice["attempts"].as_array().expect("attempts").len(), 8);
    let back = poll_async(BOUND, async || (write().await.status == 200).then_some(()));
    assert!(back.await.is_some(), "the service does not come back");
    // The days of the period are as they were.
    assert_eq!(life.subscription().await["current_period_end"], "2026-04-02T10:00:00Z");
    assert_eq!(audited(&life, "subscription.past_due").await, 1);
    assert_eq!(audited(&life, "subscription.suspended").await, 1);
    assert_eq!(audited(&life, "subscription.recovered").await, 1);
    app.mailbox().wait_for("owner@acme.example", "Receipt").await;
}

#[tokio::test]
async fn who_never_pays_ends_on_the_free_plan_and_what_comes_late_is_taken_all_the_same() {
    let app = start().await;
    let life = failing(&app, "Pro", "card_declined", "2026-03-02T10:00:00Z").await;

    life.advance("2026-03-23T10:00:00Z").await;
    let shown = life.subscription().await;
    assert_eq!((&shown["status"], &shown["access"]), (&json!("Suspended"), &json!("billing_only")));
    let closed = poll_async(BOUND, async || {
        (life.actor.get(&life.path("/users")).await.status == 402).then_some(())
    });
    assert!(closed.await.is_some(), "nothing but billing is open");
    life.see("/invoices").await;

    life.advance("2026-04-01T09:59:59Z").await;
    assert_eq!(life.subscription().await["plan"], "Pro");
    app.mailbox().wait_for("owner@acme.example", "about to end").await;
    // What was used until then is billed once its grace is over; nothing was.
    life.advance("2026-04-01T12:00:00Z").await;
    let shown = life.subscription().await;
    assert_eq!((&shown["plan"], &shown["status"]), (&json!("Free"), &json!("Active")));
    let all = life.invoices().await;
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0]["status"], "Uncollectible");
    app.mailbox().wait_for("owner@acme.example", "has ended").await;
    life.see("/users").await;

    // Somebody pays after all.
    let id = all[0]["id"].as_str().expect("an id");
    let path = format!("/api/v1/admin/tenants/{}/invoices/{id}/payments", life.id);
    app.operator().post(&path, json!({ "reference": "late" })).await.expect(200);
    assert_eq!(life.last_invoice().await["status"], "Paid");
}

#[tokio::test]
async fn a_card_that_is_lost_is_not_asked_again_but_its_owner_is() {
    let app = start().await;
    let life = failing(&app, "Starter", "card_lost", "2026-03-02T10:00:00Z").await;
    let mail = app.mailbox().wait_for("owner@acme.example", "failed").await;
    assert!(mail.text.contains("refused for good"), "{}", mail.text);

    life.advance("2026-03-10T00:00:00Z").await;
    assert_eq!(attempts(&life).await, ["Declined"]);
    assert_eq!(life.last_invoice().await["attempts"][0]["failure"], "lost_card");

    // The new one is charged at once, and fails for now; its turn comes by the schedule, which goes on.
    let method = json!({ "payment_method": "card_declined_until_4" });
    life.actor.put(&life.path("/payment-methods/default"), method).await.expect(200);
    let tried = poll_async(BOUND, async || (attempts(&life).await.len() == 2).then_some(()));
    assert!(tried.await.is_some(), "{:?}", attempts(&life).await);
    life.advance("2026-03-12T10:00:00Z").await;
    assert_eq!(attempts(&life).await.len(), 3);
    life.advance("2026-03-16T10:00:00Z").await;
    assert_eq!(attempts(&life).await, ["Declined", "Declined", "Declined", "Succeeded"]);
    assert_eq!(life.subscription().await["status"], "Active");
}

#[tokio::test]
async fn who_is_to_confirm_gets_a_link_and_another_card_takes_its_place() {
    let app = start().await;
    let life = failing(&app, "Starter", "card_confirm", "2026-03-02T10:00:00Z").await;
    assert_eq!(attempts(&life).await, ["ActionRequired"]);
    app.mailbox().wait_for("owner@acme.example", "Confirm the payment").await;

    life.advance("2026-03-10T00:00:00Z").await;
    assert_eq!(attempts(&life).await, ["ActionRequired"], "nobody is asked twice");
}

#[tokio::test]
async fn who_pays_by_transfer_is_chased_from_the_day_after_it_was_due() {
    let app = start().await;
    let life = Life::paying(&app, "acme", "Starter", "2026-03-02T10:00:00Z").await;
    let sql = "UPDATE payment_methods SET provider = 'BankTransfer'";
    sqlx::query(sql).execute(&mut app.database().connect().await).await.expect("by transfer");
    // The period's invoice is finalised after its hour of grace, and due in 14 days.
    life.advance("2026-04-16T23:59:59Z").await;
    let shown = life.subscription().await;
    assert_eq!(shown["status"], "Active", "{shown}");
    life.advance("2026-04-17T00:00:00Z").await;
    assert_eq!(life.subscription().await["status"], "PastDue");
    assert_eq!(attempts(&life).await, Vec::<String>::new());
    life.advance("2026-05-01T12:00:00Z").await;
    assert_eq!(life.subscription().await["access"], "read_only");

    let invoice = life.last_invoice().await;
    let id = invoice["id"].as_str().expect("an id");
    let path = format!("/api/v1/admin/tenants/{}/invoices/{id}/payments", life.id);
    app.operator().post(&path, json!({ "reference": "transfer 1" })).await.expect(200);
    stands(&life, "Active").await;
}

#[tokio::test]
async fn what_is_too_little_to_charge_is_carried_forward_and_nobody_is_chased_for_it() {
    let app = start().await;
    let life = Life::paying(&app, "acme", "Starter", "2026-04-01T00:00:00Z").await;
    life.advance("2026-04-30T23:00:00Z").await;
    // An hour of the dearer plan.
    life.upgrade(json!({ "new_plan": "Pro" })).await;
    let little = life.last_invoice().await;
    assert_eq!(minor(&little, "total"), 10, "{little}");

    life.advance("2026-05-01T00:30:00Z").await;
    let id = little["id"].as_str().expect("an id");
    let little = life.see(&format!("/invoices/{id}")).await;
    assert_eq!((&little["status"], &little["attempts"]), (&json!("Open"), &json!([])));
    life.advance("2026-05-01T01:00:00Z").await;
    let month = life.last_invoice().await;
    assert_eq!(month["status"], "Paid", "{month}");
    let paid = &month["payments"][0];
    assert_eq!((minor(paid, "amount"), minor(paid, "excess")), (9_910, 10));
    let little = life.see(&format!("/invoices/{id}")).await;
    assert_eq!(
        (&little["status"], &little["payments"][0]["provider"]),
        (&json!("Paid"), &json!("Balance"))
    );
    assert_eq!(life.see("/billing").await["balance"]["amount_minor"].as_i64().unwrap_or(0), 0);
    let none: Vec<Value> = Vec::new();
    assert_eq!(life.see("/audit-events?action=subscription.past_due").await["data"], json!(none));
}
