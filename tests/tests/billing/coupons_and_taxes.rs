//! What is taken off a bill and what is put on it: coupons, tax by who buys where, and credit notes.

use harness::Actor;
use serde_json::{Value, json};

use crate::life::{CARD, Life, minor, of_lines, start, start_with};

const VAT_ID_DE: &str = "DE136695976";
const VAT_ID_AT: &str = "ATU63170669";
/// What a German seller's invoice must say.
const REVERSE_CHARGE: &str =
    "Reverse charge: VAT to be accounted for by the recipient (Art. 196 Directive 2006/112/EC)";
const OUTSIDE: &str = "Outside the scope of EU VAT: supplied where the customer is established \
    (Art. 44 and 58 Directive 2006/112/EC)";

/// A seller in Germany.
fn german() -> Vec<(&'static str, String)> {
    vec![
        ("PYTAKE_BILLING__ISSUER__COUNTRY", "DE".to_owned()),
        ("PYTAKE_BILLING__ISSUER__TAX_ID", VAT_ID_DE.to_owned()),
    ]
}

/// What the tax of an invoice must add up to, whatever it is.
fn assert_tax_adds_up(invoice: &Value) {
    let groups = invoice["tax_groups"].as_array().expect("a tax table");
    let sum = |name: &str| groups.iter().map(|group| minor(group, name)).sum::<i64>();
    assert_eq!(sum("tax"), minor(invoice, "tax"), "{invoice}");
    assert_eq!(sum("base"), minor(invoice, "net"), "{invoice}");
    assert_eq!(of_lines(invoice, "tax").iter().sum::<i64>(), minor(invoice, "tax"));
    assert_eq!(of_lines(invoice, "net").iter().sum::<i64>(), minor(invoice, "net"));
    assert_eq!(minor(invoice, "net") + minor(invoice, "tax"), minor(invoice, "total"));
    assert_eq!(
        minor(invoice, "total") - minor(invoice, "credit_applied"),
        minor(invoice, "due") + minor(invoice, "paid")
    );
}

async fn redeem(life: &Life, code: &str) -> harness::Answer {
    life.actor.post(&life.path("/billing/coupons"), json!({ "code": code })).await
}

#[tokio::test]
async fn a_coupon_is_taken_once_and_holds_for_its_three_periods() {
    let app = start().await;
    let life = Life::begin(&app, "acme", "Starter", "2026-04-01T00:00:00Z").await;
    for unknown in ["WELCOME21", "no code"] {
        let refused = redeem(&life, unknown).await;
        assert_eq!(refused.problem(), "422 validation-failed", "{unknown}");
        assert_eq!(refused.fault_pointers(), ["/code"]);
    }
    let taken = redeem(&life, "welcome20").await.expect(201).json();
    assert_eq!((&taken["code"], &taken["percent"]), (&json!("WELCOME20"), &json!("20 %")));
    assert_eq!(taken["uses_left"], 3);
    assert_eq!(redeem(&life, "WELCOME20").await.problem(), "409 conflict");

    life.upgrade(json!({ "new_plan": "Starter", "payment_method": CARD })).await;
    let held = life.see("/billing").await["coupons"].clone();
    assert_eq!(held[0]["uses_left"], 2, "the first period has used one");
    life.advance("2026-07-02T00:00:00Z").await;

    let invoices = life.invoices().await;
    let totals: Vec<i64> = invoices.iter().map(|invoice| minor(invoice, "total")).collect();
    assert_eq!(totals, [2_320, 2_320, 2_320, 2_900], "29.00 less 5.80, three times");
    let id = invoices[0]["id"].as_str().expect("an id");
    let first = life.see(&format!("/invoices/{id}")).await;
    assert_eq!((minor(&first, "subtotal"), minor(&first, "discount")), (2_900, 580));
    assert_eq!(of_lines(&first, "discount"), [580]);
    assert_tax_adds_up(&first);
    assert_eq!(life.see("/billing").await["coupons"], json!([]), "it is used up");
}

#[tokio::test]
async fn a_change_within_a_period_gives_back_what_was_paid_and_uses_no_time_of_the_coupon_up() {
    let app = start().await;
    let life = Life::begin(&app, "acme", "Starter", "2026-04-01T00:00:00Z").await;
    redeem(&life, "WELCOME20").await.expect(201);
    life.upgrade(json!({ "new_plan": "Starter", "payment_method": CARD })).await;
    life.advance("2026-04-16T00:00:00Z").await;

    let done = life.upgrade(json!({ "new_plan": "Pro" })).await;

    // Half of 23.20 back, not of 29.00; half of 99.00 less a fifth.
    let invoice = &done["invoice"];
    assert_eq!(of_lines(invoice, "net"), [-1_160, 3_960]);
    assert_eq!((minor(invoice, "discount"), minor(invoice, "total")), (990, 2_800));
    assert_tax_adds_up(invoice);
    assert_eq!(life.see("/billing").await["coupons"][0]["uses_left"], 2);
}

/// A customer, and what its invoice of 29.00 must say of tax.
struct Case {
    name: &'static str,
    profile: Option<Value>,
    /// Category, rate, jurisdiction, note.
    terms: [Value; 4],
    tax: i64,
}

impl Case {
    fn all() -> Vec<Self> {
        let case = |name, profile, terms: Value, tax| {
            let terms = [0, 1, 2, 3].map(|index| terms[index].clone());
            Self { name, profile, terms, tax }
        };
        let domestic = json!(["standard", "19 %", "DE", null]);
        vec![
            // Who does not say where it is, is taxed where the seller is.
            case("unknown", None, domestic.clone(), 551),
            case("german", Some(json!({ "country": "DE", "tax_id": VAT_ID_DE })), domestic, 551),
            case(
                "austrian",
                Some(json!({ "country": "AT" })),
                json!(["standard", "20 %", "AT", null]),
                580,
            ),
            case(
                "business",
                Some(json!({ "country": "AT", "tax_id": VAT_ID_AT })),
                json!(["reverse_charge", "0 %", "AT", REVERSE_CHARGE]),
                0,
            ),
            // A business of Germany says nothing of one in Austria.
            case(
                "misplaced",
                Some(json!({ "country": "AT", "tax_id": VAT_ID_DE })),
                json!(["standard", "20 %", "AT", null]),
                580,
            ),
            case(
                "american",
                Some(json!({ "country": "US", "region": "NY" })),
                json!(["outside_scope", "0 %", null, OUTSIDE]),
                0,
            ),
        ]
    }
}

async fn put_profile(life: &Life, profile: &Value) -> Value {
    let mut body = profile.clone();
    body["name"] = json!("Customer");
    life.actor.put(&life.path("/billing/profile"), body).await.expect(200).json()
}

#[tokio::test]
async fn a_german_seller_taxes_by_who_buys_where() {
    let app = start_with(german()).await;
    for Case { name, profile, terms, tax } in Case::all() {
        let life = Life::begin(&app, name, "Starter", "2026-04-01T00:00:00Z").await;
        if let Some(profile) = &profile {
            let shown = put_profile(&life, profile).await;
            let warned = shown["warnings"] != json!([]);
            assert_eq!(warned, name == "misplaced", "{name}: {shown}");
        }
        let done = life.upgrade(json!({ "new_plan": "Starter", "payment_method": CARD })).await;

        let invoice = &done["invoice"];
        assert_eq!((minor(invoice, "net"), minor(invoice, "tax")), (2_900, tax), "{name}");
        let group = &invoice["tax_groups"][0];
        for (field, expected) in
            ["category", "rate", "jurisdiction", "note"].into_iter().zip(&terms)
        {
            assert_eq!(&group[field], expected, "{field} of {name}");
            assert_eq!(&invoice["lines"][0]["tax_terms"][field], expected, "{field} of {name}");
        }
        assert_eq!(invoice["issuer"]["tax_id"], VAT_ID_DE);
        let tax_id = profile.map_or(Value::Null, |profile| profile["tax_id"].clone());
        assert_eq!(invoice["customer"]["tax_id"], tax_id, "{name}");
        assert_tax_adds_up(invoice);
    }
    let life = Life::begin(&app, "wrong", "Starter", "2026-04-01T00:00:00Z").await;
    let body = json!({ "name": "Customer", "country": "XX", "tax_id": "DE136695977" });
    let refused = life.actor.put(&life.path("/billing/profile"), body).await;
    assert_eq!(refused.problem(), "422 validation-failed");
    assert_eq!(refused.fault_pointers(), ["/country", "/tax_id"]);
}

#[tokio::test]
async fn a_seller_outside_of_the_eu_charges_no_tax_there() {
    let app = start().await;
    let life = Life::begin(&app, "acme", "Starter", "2026-04-01T00:00:00Z").await;
    put_profile(&life, &json!({ "country": "DE" })).await;
    let done = life.upgrade(json!({ "new_plan": "Starter", "payment_method": CARD })).await;
    let invoice = &done["invoice"];
    assert_eq!((minor(invoice, "tax"), minor(invoice, "total")), (0, 2_900));
    assert_eq!(invoice["tax_groups"][0]["category"], "outside_scope");
    assert_tax_adds_up(invoice);
}

#[tokio::test]
async fn time_is_given_back_as_it_was_taxed_and_the_rest_is_taxed_as_of_today() {
    let app = start_with(german()).await;
    let life = Life::paying(&app, "acme", "Starter", "2026-04-01T00:00:00Z").await;
    put_profile(&life, &json!({ "country": "AT", "tax_id": VAT_ID_AT })).await;
    life.advance("2026-04-16T00:00:00Z").await;

    let done = life.upgrade(json!({ "new_plan": "Pro" })).await;

    // 19 % of 14.50 is 2.755: half a cent away from zero.
    let invoice = &done["invoice"];
    assert_eq!(of_lines(invoice, "net"), [-1_450, 4_950]);
    assert_eq!(of_lines(invoice, "tax"), [-276, 0]);
    assert_eq!(minor(invoice, "total"), 3_224);
    let groups = invoice["tax_groups"].as_array().expect("a tax table");
    let rows: Vec<(&Value, i64, i64)> = groups
        .iter()
        .map(|group| (&group["category"], minor(group, "base"), minor(group, "tax")))
        .collect();
    let expected = [(&json!("standard"), -1_450, -276), (&json!("reverse_charge"), 4_950, 0)];
    assert_eq!(rows, expected);
    assert_tax_adds_up(invoice);
    // What was finalised keeps what it says.
    let invoices = life.invoices().await;
    let first = invoices[0]["id"].as_str().expect("an id");
    let first = life.see(&format!("/invoices/{first}")).await;
    assert_eq!((&first["customer"]["name"], minor(&first, "tax")), (&json!("Acme"), 551));
}

#[tokio::test]
async fn prices_that_include_tax_stay_what_they_are() {
    let mut settings = german();
    settings.push(("PYTAKE_BILLING__PRICES_INCLUDE_TAX", "true".to_owned()));
    let app = start_with(settings).await;
    let life = Life::begin(&app, "acme", "Starter", "2026-04-01T00:00:00Z").await;
    redeem(&life, "WELCOME20").await.expect(201);
    let done = life.upgrade(json!({ "new_plan": "Starter", "payment_method": CARD })).await;
    // 23.20 are 19.50 and 19 % of it, rounded.
    let invoice = &done["invoice"];
    assert_eq!((minor(invoice, "subtotal"), minor(invoice, "total")), (2_900, 2_320));
    assert_eq!((minor(invoice, "net"), minor(invoice, "tax")), (1_950, 370));
    assert_eq!(invoice["tax_groups"][0]["inclusive"], true);
    assert_tax_adds_up(invoice);
}

/// An operator takes back part of an invoice, or all of it.
async fn credit(operator: &Actor, life: &Life, invoice: &Value, body: Value) -> harness::Answer {
    let id = invoice["id"].as_str().expect("an id");
    let path = format!("/api/v1/admin/tenants/{}/invoices/{id}/credit-notes", life.id);
    operator.post(&path, body).await
}

#[tokio::test]
async fn a_credit_note_is_seen_by_its_tenant_and_pays_the_next_invoice() {
    let app = start_with(german()).await;
    let (life, other) = (
        Life::paying(&app, "acme", "Starter", "2026-04-01T00:00:00Z").await,
        Life::paying(&app, "globex", "Starter", "2026-04-01T00:00:00Z").await,
    );
    // Collected by a job: paid before it is credited, so that all of it is in credit.
    app.wait_for_jobs().await;
    let invoice = life.last_invoice().await;
    assert_eq!((&invoice["status"], minor(&invoice, "total")), (&json!("Paid"), 3_451));
    let operator = app.operator();
    let part = json!({
        "lines": [{ "line": 1, "amount_minor": 1_000 }], "reason": "Outage of 3 April",
    });
    let issued = credit(&operator, &life, &invoice, part).await.expect(201).json();

    let listed = life.see("/credit-notes").await;
    assert_eq!(listed["data"], json!([issued]));
    let note = &listed["data"][0];
    assert_eq!(
        (minor(note, "total"), minor(note, "tax"), minor(note, "balance")),
        (1_190, 190, 1_190)
    );
    assert_eq!(note["reason"], "Outage of 3 April");
    assert_eq!(note["invoice_id"], invoice["id"]);
    assert_eq!(note["lines"][0]["tax_terms"]["rate"], "19 %");
    assert_eq!(other.see("/credit-notes").await["data"], json!([]), "nobody else's");
    assert_eq!(minor(&life.see("/billing").await, "balance"), 1_190);

    life.advance("2026-05-02T00:00:00Z").await;
    let next = life.last_invoice().await;
    assert_eq!((minor(&next, "total"), minor(&next, "credit_applied")), (3_451, 1_190));
    assert_eq!((&next["status"], minor(&next, "paid")), (&json!("Paid"), 2_261));
    assert_tax_adds_up(&next);
    assert_eq!(minor(&life.see("/billing").await, "balance"), 0);

    // The rest of it, and not a cent more.
    let rest = json!({ "reason": "All of it" });
    let issued = credit(&operator, &life, &invoice, rest.clone()).await.expect(201).json();
    assert_eq!((minor(&issued, "total"), minor(&issued, "tax")), (2_261, 361));
    let more = credit(&operator, &life, &invoice, rest).await;
    assert_eq!(more.problem(), "409 conflict");
    assert_eq!(life.see("/credit-notes").await["data"].as_array().map(Vec::len), Some(2));
}
