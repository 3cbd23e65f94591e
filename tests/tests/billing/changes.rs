//! What a tenant makes of its subscription: ends it, takes that back, goes to another plan or cycle. What was shown
//! before is what is billed.

use harness::{App, Mailbox};
use serde_json::{Value, json};

use crate::life::{CARD, Life, minor, of_lines, start};

/// Changes the plan and answers what was changed; what the preview said must be what is billed, to the letter.
async fn as_previewed(life: &Life, wish: Value) -> Value {
    let preview = life.preview(wish.clone()).await;
    let count = life.invoices().await.len();
    let done = life.upgrade(wish).await;

    assert_eq!(preview["subscription"], done["subscription"]);
    assert_eq!(preview["effective_at"], done["change"]["effective_at"]);
    let Some(shown) = preview["invoice"].as_object() else {
        assert_eq!(done["invoice"], Value::Null, "nothing was to be billed");
        assert_eq!(life.invoices().await.len(), count, "and nothing is");
        return done;
    };
    let id = done["invoice"]["id"].as_str().expect("an invoice");
    let stored = life.see(&format!("/invoices/{id}")).await;
    for (name, shown) in shown {
        assert_eq!(shown, &done["invoice"][name], "{name} of the answer");
        // What was due may be paid by now.
        assert!(name == "due" || *shown == stored[name], "{name} of the invoice: {stored}");
    }
    assert_eq!(life.invoices().await.len(), count + 1, "the preview itself bills nothing");
    done
}

#[tokio::test]
async fn a_canceled_plan_stays_to_its_periods_end_and_resuming_takes_that_back() {
    let app = start().await;
    let life = Life::paying(&app, "acme", "Pro", "2026-04-01T00:00:00Z").await;

    let canceled = life.act("/cancel").await.expect(200).json();
    assert_eq!(canceled["subscription"]["plan"], "Pro");
    assert_eq!(canceled["subscription"]["cancels_at"], "2026-05-01T00:00:00Z");
    assert_eq!(canceled["change"]["effective_at"], "2026-05-01T00:00:00Z");
    assert_eq!(life.act("/cancel").await.problem(), "409 conflict");

    let resumed = life.act("/resume").await.expect(200).json();
    assert_eq!(resumed["subscription"]["cancels_at"], Value::Null);
    assert_eq!(resumed["change"]["kind"], "Resumed");
    assert_eq!(life.act("/resume").await.problem(), "409 conflict");

    life.advance("2026-05-02T00:00:00Z").await;
    assert_eq!(life.subscription().await["plan"], "Pro", "it goes on");

    life.act("/cancel").await.expect(200);
    life.advance("2026-05-31T23:59:00Z").await;
    assert_eq!(life.subscription().await["plan"], "Pro", "what is paid for stays");
    life.advance("2026-06-01T00:00:00Z").await;
    let ended = life.subscription().await;
    assert_eq!((&ended["plan"], &ended["status"]), (&json!("Free"), &json!("Active")));
    assert_eq!(ended["cancels_at"], Value::Null);

    life.advance("2026-12-01T00:00:00Z").await;
    let totals: Vec<i64> =
        life.invoices().await.iter().map(|invoice| minor(invoice, "total")).collect();
    assert_eq!(totals, [9_900, 9_900], "April and May, and never again");
}

#[tokio::test]
async fn a_trial_that_is_canceled_ends_in_the_free_plan_though_there_is_a_card() {
    let app = start().await;
    let life = Life::begin(&app, "acme", "Pro", "2026-04-01T00:00:00Z").await;
    let method = json!({ "payment_method": CARD });
    life.actor.put(&life.path("/payment-methods/default"), method).await.expect(200);

    life.act("/cancel").await.expect(200);
    assert_eq!(life.subscription().await["status"], "Trialing", "the trial goes on to its end");
    life.advance("2026-06-01T00:00:00Z").await;

    assert_eq!(life.subscription().await["plan"], "Free");
    assert_eq!(life.invoices().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_downgrade_holds_from_the_periods_end_and_an_upgrade_before_it_removes_it() {
    let app = start().await;
    let life = Life::paying(&app, "acme", "Pro", "2026-04-01T00:00:00Z").await;

    let down = as_previewed(&life, json!({ "new_plan": "Starter" })).await;
    assert_eq!(down["subscription"]["plan"], "Pro");
    let scheduled = json!({
        "plan": "Starter", "billing_cycle": "Monthly", "effective_at": "2026-05-01T00:00:00Z",
    });
    assert_eq!(down["subscription"]["scheduled_change"], scheduled);
    let again = life.actor.post(&life.path("/upgrade"), json!({ "new_plan": "Starter" })).await;
    assert_eq!(again.problem(), "409 conflict");
    life.advance("2026-04-16T00:00:00Z").await;

    let up = as_previewed(&life, json!({ "new_plan": "Enterprise" })).await;
    assert_eq!(up["subscription"]["scheduled_change"], Value::Null);
    assert_eq!(of_lines(&up["invoice"], "amount"), [-4_950, 14_950]);
    life.advance("2026-05-02T00:00:00Z").await;

    assert_eq!(life.subscription().await["plan"], "Enterprise");
    assert_eq!(minor(&life.last_invoice().await, "total"), 29_900);

    // Without an upgrade, it happens.
    as_previewed(&life, json!({ "new_plan": "Starter" })).await;
    life.advance("2026-06-02T00:00:00Z").await;
    assert_eq!(life.subscription().await["plan"], "Starter");
    assert_eq!(minor(&life.last_invoice().await, "total"), 2_900);
}

#[tokio::test]
async fn a_downgrade_below_what_there_is_is_listed_and_needs_a_word() {
    let app = start().await;
    let life = Life::paying(&app, "acme", "Pro", "2026-04-01T00:00:00Z").await;
    invite(&app, &life, 5).await;
    let wish = json!({ "new_plan": "Starter" });

    let preview = life.preview(wish.clone()).await;
    assert_eq!(preview["over_limit"], json!([{ "limit": "users", "used": 6, "allowed": 5 }]));
    let refused = life.actor.post(&life.path("/upgrade"), wish).await;
    assert_eq!(refused.problem(), "403 plan-limit-reached");
    assert_eq!(refused.fault_pointers(), ["/new_plan"]);
    let detail = refused.text("/errors/0/detail");
    assert_eq!(detail, "allows 5 of `users`; there are 6");
    assert_eq!(life.subscription().await["scheduled_change"], Value::Null);

    let accepted = json!({ "new_plan": "Starter", "accept_over_limit": true });
    let done = as_previewed(&life, accepted).await;
    assert_eq!(done["subscription"]["scheduled_change"]["plan"], "Starter");
    life.advance("2026-05-02T00:00:00Z").await;

    // Nobody is thrown out, and nobody comes in.
    let users = life.see("/users").await;
    assert_eq!(users["data"].as_array().map(Vec::len), Some(6));
    let body =
        json!({ "email": "g@acme.example", "name": "G", "role": "User", "send_invite": true });
    let refused = life.actor.post(&life.path("/users"), body).await;
    assert_eq!(refused.problem(), "403 plan-limit-reached");
}

/// Invites so many people, and waits until the last is told.
async fn invite(app: &App, life: &Life, count: usize) {
    let mailbox: Mailbox = app.mailbox();
    for number in 0..count {
        let email = format!("user{number}@acme.example");
        let body = json!({ "email": email, "name": "Jo", "role": "User", "send_invite": true });
        life.actor.post(&life.path("/users"), body).await.expect(201);
        mailbox.wait_for(&email, "token").await;
    }
}

#[tokio::test]
async fn monthly_to_yearly_holds_at_once_from_a_new_anchor_and_gives_the_unused_month_back() {
    let app = start().await;
    let life = Life::paying(&app, "acme", "Pro", "2026-04-01T00:00:00Z").await;
    life.advance("2026-04-16T00:00:00Z").await;

    let wish = json!({ "new_plan": "Pro", "billing_cycle": "Yearly" });
    let done = as_previewed(&life, wish).await;

    // 15 of 30 days of 99.00 back, and a year at ten months' price.
    let invoice = &done["invoice"];
    assert_eq!(of_lines(invoice, "amount"), [-4_950, 99_000]);
    assert_eq!((minor(invoice, "total"), minor(invoice, "due")), (94_050, 94_050));
    assert_eq!(invoice["lines"][0]["description"], "Unused time on Pro, monthly");
    assert_eq!(invoice["lines"][1]["description"], "Pro, yearly");
    let subscription = &done["subscription"];
    assert_eq!(subscription["current_period_start"], "2026-04-16T00:00:00Z");
    assert_eq!(subscription["current_period_end"], "2027-04-16T00:00:00Z");
    assert_eq!(minor(subscription, "price"), 99_000);
    // Twelve months' messages, as the API says and as the edge is told.
    let usage = life.actor.get(&life.path("/usage")).await.expect(200).json();
    let limits = usage["limits"].as_array().expect("limits");
    let messages = limits.iter().find(|limit| limit["policy"] == "messages").expect("messages");
    assert_eq!(messages["quota"], 1_200_000, "{usage}");
    let told = "SELECT (quotas ->> 'messages')::bigint FROM edge.tenants";
    let admin = &mut app.database().connect().await;
    let told: i64 = sqlx::query_scalar(told).fetch_one(admin).await.expect("a quota");
    assert_eq!(told, 1_200_000);

    life.advance("2027-04-17T00:00:00Z").await;
    let totals: Vec<i64> =
        life.invoices().await.iter().map(|invoice| minor(invoice, "total")).collect();
    assert_eq!(totals, [9_900, 94_050, 99_000], "a month, the switch, the next year");
    let renewed = life.subscription().await;
    assert_eq!(renewed["current_period_end"], "2028-04-16T00:00:00Z");
}

#[tokio::test]
async fn yearly_to_monthly_holds_from_the_years_end_and_bills_nothing_before() {
    let app = start().await;
    let life = Life::begin(&app, "acme", "Pro", "2026-04-01T00:00:00Z").await;
    let year = json!({ "new_plan": "Pro", "billing_cycle": "Yearly", "payment_method": CARD });
    let begun = as_previewed(&life, year).await;
    assert_eq!(of_lines(&begun["invoice"], "amount"), [99_000]);

    let month = json!({ "new_plan": "Pro", "billing_cycle": "Monthly" });
    let done = as_previewed(&life, month).await;
    assert_eq!(done["change"]["kind"], "CycleChanged");
    assert_eq!(done["change"]["effective_at"], "2027-04-01T00:00:00Z");
    assert_eq!(done["subscription"]["billing_cycle"], "Yearly");

    life.advance("2027-04-02T00:00:00Z").await;
    let after = life.subscription().await;
    assert_eq!(after["billing_cycle"], "Monthly");
    assert_eq!(after["current_period_end"], "2027-05-01T00:00:00Z");
    assert_eq!(minor(&life.last_invoice().await, "total"), 9_900);
    assert_eq!(life.invoices().await.len(), 2);
}

#[tokio::test]
async fn a_preview_of_what_was_changed_since_is_refused_and_one_in_force_holds() {
    let app = start().await;
    let life = Life::paying(&app, "acme", "Starter", "2026-04-01T00:00:00Z").await;
    life.advance("2026-04-16T00:00:00Z").await;
    let seen = |preview: &Value| {
        json!({
            "new_plan": "Pro", "proration_date": preview["proration_date"],
            "subscription_version": preview["subscription_version"],
        })
    };
    let old = life.preview(json!({ "new_plan": "Pro" })).await;
    life.act("/cancel").await.expect(200);
    let refused = life.actor.post(&life.path("/upgrade"), seen(&old)).await;
    assert_eq!(refused.problem(), "409 conflict");
    assert_eq!(life.invoices().await.len(), 1, "nothing was billed");

    let new = life.preview(json!({ "new_plan": "Pro" })).await;
    life.advance("2026-04-16T00:10:00Z").await;
    let done = life.upgrade(seen(&new)).await;
    for name in ["lines", "total", "due"] {
        assert_eq!(done["invoice"][name], new["invoice"][name], "ten minutes later");
    }
    assert_eq!(minor(&done["invoice"], "total"), 3_500);
    assert_eq!(done["subscription"]["cancels_at"], Value::Null, "an upgrade takes the end back");

    life.advance("2026-04-16T00:30:00Z").await;
    let late = json!({ "new_plan": "Enterprise", "proration_date": new["proration_date"] });
    let late = life.actor.post(&life.path("/upgrade"), late).await;
    assert_eq!(late.problem(), "422 validation-failed");
    assert_eq!(late.fault_pointers(), ["/proration_date"]);
}

#[tokio::test]
async fn without_a_way_to_pay_a_preview_says_so_and_nothing_is_changed() {
    let app = start().await;
    let life = Life::begin(&app, "acme", "Free", "2026-04-01T00:00:00Z").await;
    let wish = json!({ "new_plan": "Pro" });
    let preview = life.preview(wish.clone()).await;
    assert_eq!(preview["payment_method_required"], true);
    assert_eq!(minor(&preview["invoice"], "total"), 9_900);

    let refused = life.actor.post(&life.path("/upgrade"), wish).await;
    assert_eq!(refused.problem(), "402 payment-method-required");
    assert_eq!(life.subscription().await["plan"], "Free");
    assert_eq!(life.invoices().await, Vec::<Value>::new());
}

#[tokio::test]
async fn an_upgrade_that_is_sent_again_under_its_key_is_billed_once() {
    let app = start().await;
    let life = Life::paying(&app, "acme", "Starter", "2026-04-01T00:00:00Z").await;
    let sender = life.actor.with("idempotency-key", "0f8b6f3a-upgrade");
    let wish = json!({ "new_plan": "Pro" });
    let first = sender.post(&life.path("/upgrade"), wish.clone()).await.expect(200);
    let again = sender.post(&life.path("/upgrade"), wish).await.expect(200);
    assert_eq!(first.json(), again.json());
    assert_eq!(life.invoices().await.len(), 2, "the first month, and the change");

    let other = sender.post(&life.path("/upgrade"), json!({ "new_plan": "Enterprise" })).await;
    assert_eq!(other.status, 422, "{other:?}");
    assert_eq!(life.subscription().await["plan"], "Pro");
}
