//! Documents as tenants download them: all that the law and the payer want is on the page, and it stays as it is.

use harness::{Actor, App, poll_async};
use serde_json::{Value, json};

use crate::life::{BOUND, CARD, Life, start_with};
use crate::shop::{BATCH, Customer, Shop};

const BANK: &str = "{ name = \"Musterbank\", account_holder = \"PyTake GmbH\", \
    iban = \"DE89370400440532013000\", bic = \"COBADEFFXXX\" }";

/// A German seller with a bank.
async fn start() -> App {
    let setting = |name, value: &str| (name, value.to_owned());
    start_with(vec![
        setting("PYTAKE_BILLING__ISSUER__NAME", "PyTake GmbH"),
        setting("PYTAKE_BILLING__ISSUER__ADDRESS", "[\"Torstraße 1\", \"10119 Berlin\"]"),
        setting("PYTAKE_BILLING__ISSUER__COUNTRY", "DE"),
        setting("PYTAKE_BILLING__ISSUER__TAX_ID", "DE136695976"),
        setting("PYTAKE_BILLING__ISSUER__EMAIL", "billing@pytake.example"),
        setting("PYTAKE_BILLING__ISSUER__BANK", BANK),
    ])
    .await
}

/// Says to whom invoices go.
async fn made_out_to(life: &Life, country: &str, tax_id: &str) {
    let profile = json!({
        "name": "Kunde & Söhne OG", "email": "rechnung@kunde.example", "address": ["Ring 7", "Stiege 2"],
        "postal_code": "1010", "city": "Wien", "country": country, "tax_id": tax_id,
    });
    life.actor.put(&life.path("/billing/profile"), profile).await.expect(200);
}

/// The document below a path, once it is rendered.
async fn pdf(life: &Life, below: &str) -> Vec<u8> {
    rendered(&life.actor, &life.path(&format!("{below}/pdf"))).await
}

async fn rendered(actor: &Actor, path: &str) -> Vec<u8> {
    let rendered = poll_async(BOUND, async || {
        // 202 until it is there.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let answer = actor.get(path).await;
        assert!([200, 202].contains(&answer.status), "{answer:?}");
        (answer.status == 200).then_some(())
    });
    assert!(rendered.await.is_some(), "{path} is not rendered");
    actor.download(path).await
}

/// Its text as a reader would copy it, a bar after each piece.
fn text(pdf: &[u8]) -> String {
    let pdf = lopdf::Document::load_mem(pdf).expect("a PDF");
    let pages: Vec<u32> = pdf.get_pages().into_keys().collect();
    let text = pdf.extract_text(&pages).expect("text");
    text.lines().map(|line| format!("{}|", line.trim_end())).collect()
}

#[track_caller]
fn assert_found(text: &str, expected: &[&str]) {
    for expected in expected {
        assert!(text.contains(expected), "no {expected:?} in {text}");
    }
}

/// `/invoices/inv_…` of an invoice.
fn below(invoice: &Value) -> String {
    format!("/invoices/{}", invoice["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn an_invoice_says_who_sold_what_to_whom_at_which_tax_and_how_it_is_paid() {
    let app = start().await;
    let life = Life::begin(&app, "acme", "Starter", "2026-04-01T00:00:00Z").await;
    let coupon = json!({ "code": "WELCOME20" });
    life.actor.post(&life.path("/billing/coupons"), coupon).await.expect(201);
    let done = life.upgrade(json!({ "new_plan": "Starter", "payment_method": CARD })).await;
    let text = text(&pdf(&life, &below(&done["invoice"])).await);

    assert_found(&text, &["Invoice|TEST-2026-000001|", "Issue date|1 Apr 2026|", "Currency|USD|"]);
    assert_found(
        &text,
        &["Due date|15 Apr 2026|", "Service period|1 Apr 2026 \u{2013} 30 Apr 2026|"],
    );
    assert_found(&text, &["PyTake GmbH|Torstraße 1|10119 Berlin|DE|Tax ID DE136695976|"]);
    assert_found(&text, &["billing@pytake.example|", "Bill to|Acme|"]);
    assert_found(&text, &["Starter, monthly|29.00|-5.80|19 %|23.20|"]);
    assert_found(&text, &["Taxable amount|Tax amount|19 % (DE)|23.20|4.41|"]);
    assert_found(&text, &["Subtotal|29.00|Discounts|-5.80|Tax|4.41|Total|USD 27.61|"]);
    assert_found(&text, &["Amount due|USD 27.61|", "USD 27.61 will be charged to your", "1 / 1|"]);
    for absent in ["Please pay", "IBAN", "Reference"] {
        assert!(!text.contains(absent), "who is charged is asked to pay: {text}");
    }

    // Without a way to pay on file, the next month's asks for a transfer.
    let forgotten = "UPDATE payment_methods SET state = 'Removed', is_default = false";
    let admin = &mut app.database().connect().await;
    sqlx::query(forgotten).execute(admin).await.expect("no way to pay");
    life.advance("2026-05-02T00:00:00Z").await;
    let text = self::text(&pdf(&life, &below(&life.last_invoice().await)).await);
    assert_found(&text, &["Amount due|USD 27.61|", "Please pay USD 27.61 by 15 May 2026.|"]);
    assert_found(&text, &["Bank|Musterbank|IBAN|DE89 3704 0044 0532 0130 00|BIC|COBADEFFXXX|"]);
    assert_found(&text, &["Account holder|PyTake GmbH|", "Reference|RF89 TEST 2026 0000 02|"]);
}

#[tokio::test]
async fn reverse_charge_is_said_with_both_tax_ids_beside_what_was_taxed() {
    let app = start().await;
    let life = Life::paying(&app, "acme", "Starter", "2026-04-01T00:00:00Z").await;
    made_out_to(&life, "AT", "ATU63170669").await;
    life.advance("2026-04-16T00:00:00Z").await;
    let done = life.upgrade(json!({ "new_plan": "Pro" })).await;

    let text = text(&pdf(&life, &below(&done["invoice"])).await);

    assert_found(&text, &["Tax ID DE136695976|", "Tax ID ATU63170669|", "rechnung@kunde.example|"]);
    assert_found(&text, &["Bill to|Kunde & Söhne OG|Ring 7|Stiege 2|1010 Wien|AT|"]);
    assert_found(&text, &["Unused time on Starter, monthly|19 %|-14.50|"]);
    assert_found(&text, &["15 of 30 days, billed by invoice TEST-2026-000001 line 1|"]);
    assert_found(&text, &["Remaining time on Pro, monthly|0 %|49.50|"]);
    assert_found(
        &text,
        &["19 % (DE)|-14.50|-2.76|Reverse charge (AT)|49.50|0.00|", "Total|USD 32.24|"],
    );
    // Long as it is, it goes on in a second line.
    let words = text.replace('|', " ");
    assert_found(&words, &["Reverse charge: VAT to be accounted for by the recipient (Art. 196"]);
}

#[tokio::test]
async fn a_document_is_the_same_bytes_each_time_and_its_tenants_alone() {
    let app = start().await;
    let life = Life::paying(&app, "acme", "Pro", "2026-04-01T00:00:00Z").await;
    let other = Life::paying(&app, "globex", "Pro", "2026-04-01T00:00:00Z").await;
    let invoice = life.last_invoice().await;
    let (first, path) = (pdf(&life, &below(&invoice)).await, format!("{}/pdf", below(&invoice)));

    // What happens to the invoice and to its customer does not change it.
    made_out_to(&life, "DE", "DE136695976").await;
    app.wait_for_jobs().await;
    assert_eq!(life.last_invoice().await["status"], "Paid");
    life.advance("2026-04-20T00:00:00Z").await;
    assert!(life.actor.download(&life.path(&path)).await == first, "other bytes");
    let answer = life.actor.get(&life.path(&path)).await.expect(200);
    let number = invoice["number"].as_str().expect("a number");
    let name = format!("attachment; filename=\"{number}.pdf\"");
    assert_eq!(answer.header("content-disposition"), name);
    let known = life.actor.with("if-none-match", answer.header("etag"));
    assert_eq!(known.get(&life.path(&path)).await.expect(304).body, "");

    let refused = other.actor.get(&other.path(&path)).await;
    assert_eq!(refused.problem(), "404 not-found");
    let refused = other.actor.get(&life.path(&path)).await;
    assert!([403, 404].contains(&refused.status), "{refused:?}");
    let theirs = pdf(&other, &below(&other.last_invoice().await)).await;
    assert!(theirs != first && !text(&theirs).contains(number), "it has a number of its own");
}

#[tokio::test]
async fn a_draft_has_no_document() {
    let app = start().await;
    let life = Life::paying(&app, "acme", "Pro", "2026-04-01T00:00:00Z").await;
    // The month has ended, and its grace has not.
    life.advance("2026-05-01T00:30:00Z").await;
    let draft = life.last_invoice().await;
    assert_eq!((&draft["status"], &draft["number"]), (&json!("Draft"), &Value::Null));
    assert_eq!(draft["finalizes_at"], "2026-05-01T01:00:00Z");
    let refused = life.actor.get(&life.path(&format!("{}/pdf", below(&draft)))).await;
    assert_eq!(refused.problem(), "409 conflict");
}

#[tokio::test]
async fn a_credit_note_names_its_invoice_its_reason_and_what_it_gives_back() {
    let app = start().await;
    let life = Life::paying(&app, "acme", "Starter", "2026-04-01T00:00:00Z").await;
    let other = Life::begin(&app, "globex", "Free", "2026-04-01T00:00:00Z").await;
    app.wait_for_jobs().await;
    let invoice = life.last_invoice().await;
    let path = format!("/api/v1/admin/tenants/{}{}/credit-notes", life.id, below(&invoice));
    let body = json!({
        "lines": [{ "line": 1, "amount_minor": 1_000 }], "reason": "Outage of 3 April",
    });
    let note = app.operator().post(&path, body).await.expect(201).json();
    let below = format!("/credit-notes/{}", note["id"].as_str().expect("an id"));

    let document = pdf(&life, &below).await;

    let text = text(&document);
    let number = note["number"].as_str().expect("a number");
    assert_found(&text, &[&format!("Credit note|{number}|"), "Credit to|Acme|"]);
    assert_found(&text, &["Corrects invoice|TEST-2026-000001|", "Reason: Outage of 3 April|"]);
    assert_found(&text, &["PyTake GmbH|Torstraße 1|10119 Berlin|DE|Tax ID DE136695976|"]);
    assert_found(&text, &["Starter, monthly|19 %|10.00|", "19 % (DE)|10.00|1.90|"]);
    assert_found(&text, &["Total credit|USD 11.90|"]);
    for absent in ["Amount due", "Please pay", "IBAN"] {
        assert!(!text.contains(absent), "{absent} in {text}");
    }
    let path = format!("{below}/pdf");
    assert!(life.actor.download(&life.path(&path)).await == document, "other bytes");
    assert_eq!(other.actor.get(&other.path(&path)).await.problem(), "404 not-found");
}

#[tokio::test]
async fn who_is_charged_is_not_asked_for_a_transfer() {
    let app = start_with(Vec::new()).await;
    let life = Life::paying(&app, "acme", "Pro", "2026-04-01T00:00:00Z").await;
    let text = text(&pdf(&life, &below(&life.last_invoice().await)).await);
    assert_found(&text, &["PyTake|1 Example Street|Example Town|US|", "Total|USD 99.00|"]);
    assert_found(&text, &["Payment|USD 99.00 will be charged to your payment method on file."]);
    for absent in ["IBAN", "Please pay", "Reference", "Tax ID"] {
        assert!(!text.contains(absent), "{absent} in {text}");
    }
}

#[tokio::test]
async fn use_is_printed_with_how_much_there_was_and_how_it_came_to_its_price() {
    let shop = Shop::open().await;
    let customer = Customer::paying(&shop, "acme", "PayAsYouGo").await;
    customer.send_all(12).await;
    customer.counted("messages", 12 * BATCH).await;
    let invoice = customer.end_period(5).await;

    let path = customer.owner.path(&format!("{}/pdf", below(&invoice)));
    let text = text(&rendered(&customer.owner, &path).await);

    assert_found(&text, &["Invoice|INV-", "Bill to|acme Inc|"]);
    assert_found(&text, &["Messages sent|12,000 messages|0 %|69.40|"]);
    assert_found(&text, &["10,000 messages × 0.006 + 2,000 messages × 0.0047|"]);
    assert_found(&text, &["Total|USD 69.40|"]);
}
