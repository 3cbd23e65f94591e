//! The price list, and moving between plans.

use harness::{App, redact};
use serde_json::json;

#[tokio::test]
async fn the_price_list_is_public_and_is_the_specifications() {
    let app = App::start().await;
    let plans = app.stranger().get("/api/v1/plans").await.expect(200);
    for text in ["Free", "Starter", "Pro", "Enterprise", "2900", "9900", "29900"] {
        assert!(plans.body.contains(text), "{text} is missing: {}", plans.body);
    }
}

#[tokio::test]
async fn an_upgrade_is_in_force_at_once() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Free").await;
    let body = json!({"new_plan": "Enterprise", "billing_cycle": "Yearly", "payment_method": "card_1234567890"});
    let mut answer = owner.post(&owner.path("/upgrade"), body).await.expect(200).json();
    let invoice = answer.as_object_mut().and_then(|answer| answer.remove("invoice"));
    let dashboard = owner.get("/api/v1/dashboard").await.expect(200);
    assert!(dashboard.header("ratelimit-policy").contains("q=10000"), "{dashboard:?}");
    expect_test::expect![[r#"
        {
          "change": {
            "effective_at": "<time>",
            "from_billing_cycle": "Monthly",
            "from_plan": "Free",
            "id": "subchange_…",
            "kind": "Upgraded",
            "to_billing_cycle": "Yearly",
            "to_plan": "Enterprise"
          },
          "subscription": {
            "access": "full",
            "billing_cycle": "Yearly",
            "cancels_at": null,
            "current_period_end": "<time>",
            "current_period_start": "<time>",
            "id": "sub_…",
            "payment_method_on_file": true,
            "plan": "Enterprise",
            "price": {
              "amount_minor": 299000,
              "currency": "USD"
            },
            "scheduled_change": null,
            "status": "Active",
            "trial_ends_at": null
          }
        }"#]]
    .assert_eq(&redact(&answer));
    expect_invoice(&invoice.expect("an invoice"));
}

/// The invoice of a year of Enterprise, as the answer shows it.
#[expect(clippy::too_many_lines, reason = "an answer, whole")]
fn expect_invoice(invoice: &serde_json::Value) {
    expect_test::expect![[r#"
        {
          "attempts": [],
          "created_at": "<time>",
          "credit_applied": {
            "amount_minor": 0,
            "currency": "USD"
          },
          "credited": {
            "amount_minor": 0,
            "currency": "USD"
          },
          "customer": {
            "address": [],
            "country": null,
            "email": null,
            "name": "acme Inc",
            "region": null,
            "tax_id": null
          },
          "discount": {
            "amount_minor": 0,
            "currency": "USD"
          },
          "due": {
            "amount_minor": 299000,
            "currency": "USD"
          },
          "due_on": "<date>",
          "finalizes_at": null,
          "id": "inv_…",
          "issued_on": "<date>",
          "issuer": {
            "address": [
              "1 Example Street",
              "Example Town"
            ],
            "country": "US",
            "email": null,
            "name": "PyTake",
            "region": null,
            "tax_id": null
          },
          "kind": "Adjustment",
          "lines": [
            {
              "amount": {
                "amount_minor": 299000,
                "currency": "USD"
              },
              "description": "Enterprise, yearly",
              "detail": "",
              "discount": {
                "amount_minor": 0,
                "currency": "USD"
              },
              "line": 1,
              "net": {
                "amount_minor": 299000,
                "currency": "USD"
              },
              "period_end": "<time>",
              "period_start": "<time>",
              "quantity": 1,
              "rule": {
                "cycle": "Yearly",
                "plan": "Enterprise",
                "price_minor": 299000,
                "rule": "fee",
                "service": {
                  "end": "<time>",
                  "start": "<time>"
                },
                "version": 1,
                "whole": {
                  "end": "<time>",
                  "start": "<time>"
                }
              },
              "tax": {
                "amount_minor": 0,
                "currency": "USD"
              },
              "tax_terms": {
                "category": "outside_scope",
                "inclusive": false,
                "jurisdiction": null,
                "note": null,
                "rate": "0 %"
              },
              "unit": "year",
              "unit_price": "2990.00"
            }
          ],
          "net": {
            "amount_minor": 299000,
            "currency": "USD"
          },
          "number": "INV-<year>-000001",
          "paid": {
            "amount_minor": 0,
            "currency": "USD"
          },
          "payment_reference": "RF94INV2026000001",
          "payments": [],
          "period_end": "<time>",
          "period_start": "<time>",
          "status": "Open",
          "subtotal": {
            "amount_minor": 299000,
            "currency": "USD"
          },
          "tax": {
            "amount_minor": 0,
            "currency": "USD"
          },
          "tax_groups": [
            {
              "base": {
                "amount_minor": 299000,
                "currency": "USD"
              },
              "category": "outside_scope",
              "inclusive": false,
              "jurisdiction": null,
              "note": null,
              "rate": "0 %",
              "tax": {
                "amount_minor": 0,
                "currency": "USD"
              }
            }
          ],
          "total": {
            "amount_minor": 299000,
            "currency": "USD"
          }
        }"#]]
    .assert_eq(&redact(invoice));
}

#[tokio::test]
async fn a_paid_plan_needs_a_way_to_pay() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Free").await;
    let body = json!({"new_plan": "Pro", "billing_cycle": "Monthly"});
    let answer = owner.post(&owner.path("/upgrade"), body).await;
    assert_eq!(answer.problem(), "402 payment-method-required");
}

#[tokio::test]
async fn the_way_to_pay_is_nowhere_in_the_clear() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Free").await;
    let body = json!({"new_plan": "Pro", "billing_cycle": "Monthly", "payment_method": "card_canary_4711"});
    owner.post(&owner.path("/upgrade"), body).await.expect(200);
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT to_jsonb(subscriptions)::text FROM subscriptions
         WHERE to_jsonb(subscriptions)::text LIKE '%' || $1 || '%'
         UNION ALL
         SELECT to_jsonb(payment_methods)::text FROM payment_methods
         WHERE to_jsonb(payment_methods)::text LIKE '%' || $1 || '%'
             OR position(convert_to($1, 'UTF8') IN token_sealed) > 0
         UNION ALL
         SELECT to_jsonb(audit_events)::text FROM audit_events
         WHERE to_jsonb(audit_events)::text LIKE '%' || $1 || '%'",
    )
    .bind("card_canary_4711")
    .fetch_all(&mut app.database().connect().await)
    .await
    .expect("a query");
    assert!(found.is_empty(), "{found:?}");
    let sealed: bool = sqlx::query_scalar("SELECT count(*) = 1 FROM payment_methods")
        .fetch_one(&mut app.database().connect().await)
        .await
        .expect("a query");
    assert!(sealed, "the reference was not kept at all");
}

#[tokio::test]
async fn billing_invoices_and_usage_answer_their_owner() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let billing = owner.get(&owner.path("/billing")).await.expect(200);
    assert!(billing.body.contains("\"Pro\""), "{billing:?}");
    let invoices = owner.get(&owner.path("/invoices")).await.expect(200).json();
    assert_eq!((&invoices["data"], &invoices["next_cursor"]), (&json!([]), &json!(null)));
    owner.get(&owner.path("/usage")).await.expect(200);
}
