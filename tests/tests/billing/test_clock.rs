//! A life on a test clock, through the edge: what real tenants live through in years.

use harness::{App, poll_async};
use serde_json::{Value, json};

use crate::life::{BOUND, Life, start};

#[tokio::test]
async fn three_years_of_a_tenant_anchored_on_the_31st_are_billed_month_by_month_and_paid() {
    let app = start().await;
    let life = Life::begin(&app, "acme", "Starter", "2026-01-17T09:00:00Z").await;
    let method = json!({ "payment_method": "card_1234567890" });
    life.actor.put(&life.path("/payment-methods/default"), method).await.expect(200);

    life.advance("2029-02-01T00:00:00Z").await;

    let invoices = life.invoices().await;
    // The trial ends on 31 January 2026; from then on a month each.
    let starts: Vec<String> = invoices
        .iter()
        .map(|invoice| invoice["period_start"].as_str().expect("a time")[..10].to_owned())
        .collect();
    assert_eq!(invoices.len(), 37, "{starts:#?}");
    assert_eq!(&starts[..4], ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]);
    // A leap day is a month's last, too.
    assert!(starts.contains(&"2028-02-29".to_owned()));
    for invoice in &invoices {
        assert_eq!(invoice["status"], "Paid", "{invoice}");
        assert_eq!(invoice["total"]["amount_minor"], 2_900, "{invoice}");
        let shown = invoice["number"].as_str().expect("a number");
        assert!(shown.starts_with("TEST-"), "a test takes no number of the real books: {shown}");
    }
    let notice = app.mailbox().wait_for("owner@acme.example", "trial").await;
    assert!(notice.text.contains("Starter"), "{}", notice.text);
}

#[tokio::test]
async fn a_trial_without_a_way_to_pay_ends_in_the_free_plan_and_never_in_a_debt() {
    let app = start().await;
    let life = Life::begin(&app, "acme", "Pro", "2026-03-01T00:00:00Z").await;

    life.advance("2026-06-01T00:00:00Z").await;

    assert_eq!(life.invoices().await, Vec::<Value>::new());
    let billing = life.actor.get(&life.path("/billing")).await.expect(200).json();
    assert_eq!(billing["subscription"]["plan"], "Free");
    assert_eq!(billing["subscription"]["status"], "Active");
}

#[tokio::test]
async fn the_preview_of_an_upgrade_is_what_is_billed_and_its_document_says_so() {
    let app = start().await;
    let life = Life::begin(&app, "acme", "Starter", "2026-04-01T00:00:00Z").await;
    let wish = |plan| json!({ "new_plan": plan, "payment_method": "card_1234567890" });
    // Converts early: the first period is the month from here on.
    life.actor.post(&life.path("/upgrade"), wish("Starter")).await.expect(200);
    life.advance("2026-04-16T00:00:00Z").await;

    let preview = life.path("/upgrade?preview=true");
    let preview = life.actor.post(&preview, wish("Pro")).await.expect(200).json();
    let billed = life.actor.post(&life.path("/upgrade"), wish("Pro")).await.expect(200).json();

    let amounts = |answer: &Value| {
        let lines = answer["invoice"]["lines"].as_array().expect("lines");
        lines.iter().map(|line| line["amount"]["amount_minor"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(amounts(&billed), [json!(-1_450), json!(4_950)]);
    assert_eq!(amounts(&preview), amounts(&billed));
    assert_eq!(billed["invoice"]["total"]["amount_minor"], 3_500);
    let id = billed["invoice"]["id"].as_str().expect("an id");
    let path = life.path(&format!("/invoices/{id}/pdf"));
    let pdf = poll_async(BOUND, async || {
        let answer = life.actor.get(&path).await;
        (answer.status == 200).then_some(answer)
    });
    let pdf = pdf.await.expect("it is rendered");
    assert_eq!(pdf.header("content-type"), "application/pdf");
    assert!(pdf.body.starts_with("%PDF-"));
    let paid = poll_async(BOUND, async || {
        let invoice = life.actor.get(&life.path(&format!("/invoices/{id}"))).await.json();
        (invoice["status"] == "Paid").then_some(())
    });
    assert!(paid.await.is_some(), "the sandbox pays it");
}

#[tokio::test]
async fn a_clock_is_nobody_elses_and_does_not_go_back() {
    let app = start().await;
    let life = Life::begin(&app, "acme", "Free", "2026-04-01T00:00:00Z").await;
    let owner = app.tenant("globex", "Free").await;
    let body = json!({ "to": "2027-01-01T00:00:00Z" });
    owner.post(&owner.path("/test-clock/advance"), body).await.expect(404);
    let back = json!({ "to": "2026-03-01T00:00:00Z" });
    life.actor.post(&life.path("/test-clock/advance"), back).await.expect(409);
    let off = App::start().await;
    let body = json!({
        "name": "Acme", "subdomain": "acme", "plan": "Free", "owner_name": "Ann",
        "owner_email": "owner@acme.example", "test_clock": "2026-04-01T00:00:00Z",
    });
    let refused = off.stranger().post("/api/v1/tenants", body).await.expect(422).json();
    assert_eq!(refused["errors"][0]["pointer"], "/test_clock");
}
