//! Use past what a plan includes, from the edge to the invoice: where it stops, what it may cost, what is billed before
//! the month ends, and what is told late.

use std::time::Duration;

use domain::clock::{Clock as _, SystemClock};
use harness::poll_async;
use http::Method;
use serde_json::{Value, json};

use crate::life::{BOUND, minor};
use crate::shop::{BATCH, Customer, Shop};

/// Rule, quantity and amount of each line.
fn billed(invoice: &Value) -> Vec<(&str, i64, i64)> {
    let lines = invoice["lines"].as_array().expect("lines");
    lines
        .iter()
        .map(|line| {
            let rule = line["rule"]["rule"].as_str().expect("a rule");
            (rule, line["quantity"].as_i64().expect("a number"), minor(line, "amount"))
        })
        .collect()
}

#[tokio::test]
async fn the_edge_stops_at_the_plans_count_and_goes_on_as_far_as_the_tenant_allows() {
    let shop = Shop::open().await;
    let customer = Customer::paying(&shop, "acme", "Monthly").await;
    customer.stops_at(10).await;

    // 4.70 affords a thousand more.
    customer.allow(true, Some(470)).await;
    customer.stops_at(11).await;
    let shown = customer.allow(true, Some(3 * 470)).await;
    assert_eq!(minor(&shown, "spending_cap"), 1_410);
    customer.stops_at(13).await;
    customer.allow(true, None).await;
    customer.send_all(3).await;

    customer.allow(false, None).await;
    customer.stops().await;
    let sent = shop.sent();
    assert!(sent >= 16, "{sent}");
    customer.counted("messages", sent * BATCH).await;

    // What was sent while it was allowed is paid for.
    let invoice = customer.end_period(5).await;
    let over_minor = (sent - 10) * 470;
    let expected = [("fee", 1, 2_900), ("usage", sent * BATCH, over_minor)];
    assert_eq!(billed(&invoice), expected, "{invoice}");
    assert_eq!(invoice["lines"][1]["description"], "Messages sent");
    assert_eq!(minor(&invoice, "total"), 2_900 + over_minor);
    assert_eq!((&invoice["kind"], &invoice["status"]), (&json!("Period"), &json!("Paid")));
    // Another period has another count.
    customer.send_all(1).await;
}

#[tokio::test]
async fn the_free_plan_never_goes_past_its_counts() {
    let shop = Shop::open().await;
    let customer = Customer::free(&shop, "acme").await;
    let path = customer.owner.path("/billing/overage");
    let refused = customer.owner.put(&path, json!({ "allowed": true })).await;
    assert_eq!(refused.problem(), "409 conflict");
    customer.stops_at(1).await;
}

#[tokio::test]
async fn what_is_beyond_the_spending_cap_is_on_the_invoice_and_not_billed() {
    let shop = Shop::open().await;
    let customer = Customer::paying(&shop, "acme", "Monthly").await;
    let euro = json!({ "allowed": true, "spending_cap": { "amount_minor": 1, "currency": "EUR" } });
    let refused = customer.owner.put(&customer.owner.path("/billing/overage"), euro).await;
    assert_eq!(refused.fault_pointers(), ["/spending_cap/currency"]);
    customer.allow(true, None).await;
    customer.send_all(13).await;
    customer.counted("messages", 13 * BATCH).await;

    // The word came after the use.
    customer.allow(true, Some(1_000)).await;
    let invoice = customer.end_period(5).await;

    let expected =
        [("fee", 1, 2_900), ("usage", 13_000, 3 * 470), ("spending_cap", 1, 1_000 - 3 * 470)];
    assert_eq!(billed(&invoice), expected);
    assert_eq!(minor(&invoice, "total"), 3_900);
}

#[tokio::test]
async fn pay_as_you_go_use_that_comes_to_much_is_billed_before_its_month_ends_and_once() {
    let shop = Shop::open().await;
    let customer = Customer::paying(&shop, "acme", "PayAsYouGo").await;
    assert_eq!(customer.invoices().await, Vec::<Value>::new(), "no fee");
    // 60.00 for the first ten thousand, 4.70 for each thousand after: 196.30, short of 200.00.
    customer.send_all(39).await;
    customer.counted("messages", 39 * BATCH).await;
    shop.bill("thresholds").await;
    assert_eq!(customer.invoices().await, Vec::<Value>::new(), "it has not come to so much");

    customer.send_all(1).await;
    customer.counted("messages", 40 * BATCH).await;
    shop.bill("thresholds").await;
    let ahead = customer.last_invoice().await;
    assert_eq!((&ahead["kind"], &ahead["status"]), (&json!("Threshold"), &json!("Paid")));
    assert_eq!(billed(&ahead), [("usage", 40_000, 20_100)]);
    shop.bill("thresholds").await;
    assert_eq!(customer.invoices().await.len(), 1, "what was billed ahead does not count again");

    customer.send_all(2).await;
    customer.counted("messages", 42 * BATCH).await;
    let invoice = customer.end_period(5).await;
    let expected = [("usage", 42_000, 21_040), ("already_invoiced", 1, -20_100)];
    assert_eq!(billed(&invoice), expected);
    assert_eq!((&invoice["kind"], minor(&invoice, "total")), (&json!("Period"), 940));
    assert_eq!(customer.invoices().await.len(), 2);
}

/// Tells how much storage was in use some time ago.
async fn tell(shop: &Shop, customer: &Customer<'_>, megabytes: u64, age: Duration) {
    let (_, application) = shop.app.application();
    let event = json!({
        "specversion": "1.0", "id": format!("{megabytes} MB"), "source": "/disk", "type": "storage_mb",
        "subject": customer.owner.tenant_id, "time": (SystemClock.now() - age).to_string(),
        "data": { "quantity": megabytes },
    });
    let body = Some(("application/cloudevents+json", event.to_string().into_bytes()));
    application.send(Method::POST, "/api/v1/usage/events", body).await.expect(200);
}

#[tokio::test]
async fn use_that_is_told_late_is_a_marked_line_of_the_next_invoice_and_of_no_other() {
    let shop = Shop::open().await;
    let customer = Customer::paying(&shop, "acme", "PayAsYouGo").await;
    let day = Duration::from_secs(86_400);
    tell(&shop, &customer, 900, 3 * day).await;
    customer.counted("storage_mb", 900).await;
    customer.send_all(2).await;
    customer.counted("messages", 2 * BATCH).await;
    let first = customer.end_period(9).await;
    // 100 MB cost nothing, each thousand begun after them 0.50.
    assert_eq!(billed(&first), [("usage", 2_000, 1_200), ("usage", 900, 50)]);

    // It was more than was told, two days ago; and it is less by now.
    tell(&shop, &customer, 5_050, 2 * day).await;
    let anew = "SELECT count(*) FROM usage_periods WHERE tenant_id = $1 AND quantity = 5050";
    let seen = poll_async(BOUND, async || (customer.number(anew).await == 1).then_some(()));
    assert!(seen.await.is_some(), "the closed period is not counted anew");
    tell(&shop, &customer, 60, Duration::from_secs(6 * 60)).await;
    customer.counted("storage_mb", 60).await;
    let second = customer.end_period(4).await;

    // Five packages, less the one that was billed. What there is by now costs nothing.
    let late = ("late_usage", 4_150, 200);
    assert_eq!(billed(&second), [("usage", 60, 0), late], "{second}");
    let line = &second["lines"][1];
    assert_eq!(line["description"], "Storage used, counted late for an earlier period");
    assert_eq!(line["detail"], "5,050 MB counted, 900 of them billed before");
    assert_eq!(line["period_start"], first["period_start"]);
    assert_eq!(minor(&second, "total"), 200);

    // It is billed, and not again; what was finalised stays.
    customer.send_all(1).await;
    customer.counted("messages", BATCH).await;
    let third = customer.end_period(1).await;
    assert_eq!(billed(&third), [("usage", BATCH, 600), ("usage", 60, 0)]);
    assert_eq!(minor(&customer.invoices().await[0], "total"), 1_250);
}
