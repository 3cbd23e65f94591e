//! Ways to pay: kept, listed, charged, confirmed and removed, by who may and as the plan allows.

use harness::{App, AppOptions, Owner, poll_async};
use serde_json::{Value, json};

use crate::life::{BOUND, CARD};

async fn add(owner: &Owner, body: Value) -> Value {
    owner.post(&owner.path("/payment-methods"), body).await.expect(201).json()
}

async fn listed(owner: &Owner) -> Vec<(String, bool)> {
    let all = owner.get(&owner.path("/payment-methods")).await.expect(200).json();
    let all = all["data"].as_array().expect("a list").clone();
    let shown = |one: &Value| {
        (one["id"].as_str().expect("an id").to_owned(), one["default"] == json!(true))
    };
    all.iter().map(shown).collect()
}

#[tokio::test]
async fn one_of_several_is_charged_and_the_last_stays_while_something_costs() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Free").await;

    let first = add(&owner, json!({ "payment_method": "card_4242424242424242" })).await;
    assert_eq!((&first["provider"], &first["last_four"]), (&json!("Sandbox"), &json!("4242")));
    assert!(
        !first.to_string().contains("card_"),
        "what the provider knows it by is shown: {first}"
    );
    let second = add(&owner, json!({ "payment_method": CARD, "default": false })).await;
    let (first, second) = (first["id"].as_str().unwrap(), second["id"].as_str().unwrap());
    assert_eq!(listed(&owner).await, [(first.to_owned(), true), (second.to_owned(), false)]);

    let path = |id: &str, what: &str| owner.path(&format!("/payment-methods/{id}{what}"));
    owner.post(&path(second, "/default"), json!({})).await.expect(200);
    assert_eq!(listed(&owner).await, [(second.to_owned(), true), (first.to_owned(), false)]);
    owner.get(&path(second, "")).await.expect(200);

    // With a way on file, by its id.
    let wish = json!({ "new_plan": "Starter", "payment_method": first });
    owner.post(&owner.path("/upgrade"), wish).await.expect(200);
    assert_eq!(listed(&owner).await[0], (first.to_owned(), true));
    let paid = poll_async(BOUND, async || {
        let all = owner.get(&owner.path("/invoices")).await.expect(200).json();
        (all["data"][0]["status"] == "Paid").then_some(())
    });
    assert!(paid.await.is_some(), "the first invoice is charged to it");
    owner.delete(&path(first, "")).await.expect(409);
    owner.delete(&path(second, "")).await.expect(204);
    owner.delete(&path(second, "")).await.expect(404);
    assert_eq!(listed(&owner).await, [(first.to_owned(), true)]);
    app.wait_for_jobs().await;
}

#[tokio::test]
async fn what_cannot_be_charged_is_not_kept_and_says_why() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Starter").await;
    let path = owner.path("/payment-methods");

    let refused = owner.post(&path, json!({ "payment_method": "card_refused" })).await.expect(402);
    assert!(
        refused.json()["detail"].as_str().unwrap().contains("card_refused"),
        "{}",
        refused.json()
    );
    let fault = |answer: harness::Answer| answer.expect(422).json()["errors"][0]["pointer"].clone();
    assert_eq!(
        fault(owner.post(&path, json!({ "payment_method": "with space" })).await),
        "/payment_method"
    );
    assert_eq!(fault(owner.post(&path, json!({ "provider": "Cash" })).await), "/provider");
    // Not set up here.
    let stripe = json!({ "provider": "Stripe", "payment_method": "pm_1" });
    assert_eq!(fault(owner.post(&path, stripe).await), "/provider");
    assert_eq!(listed(&owner).await, []);

    for number in 0..9 {
        add(&owner, json!({ "payment_method": format!("card_100000000{number}") })).await;
    }
    // The same one again is one.
    let again = add(&owner, json!({ "payment_method": "card_1000000000" })).await;
    assert_eq!((listed(&owner).await.len(), &again["default"]), (9, &json!(true)));
    add(&owner, json!({ "payment_method": CARD })).await;
    assert_eq!(listed(&owner).await.len(), 10);
    owner.post(&path, json!({ "payment_method": "card_2000000000" })).await.expect(409);
}

#[tokio::test]
async fn a_provider_of_one_plan_is_no_other_tenants() {
    let settings = vec![
        ("PYTAKE_PAYMENTS__BANK_TRANSFER__ENABLED", "true".to_owned()),
        ("PYTAKE_PAYMENTS__BANK_TRANSFER__PLANS", "[\"Enterprise\"]".to_owned()),
    ];
    let app = App::start_with(AppOptions { settings, ..AppOptions::default() }).await;
    let transfer = json!({ "provider": "BankTransfer" });

    let small = app.tenant("small", "Pro").await;
    small.post(&small.path("/payment-methods"), transfer.clone()).await.expect(422);
    let large = app.tenant("large", "Enterprise").await;
    let kept = add(&large, transfer).await;
    assert_eq!((&kept["state"], &kept["default"]), (&json!("Usable"), &json!(true)));
    // Nobody charges it: the invoice is open, and says how it is paid.
    large.post(&large.path("/upgrade"), json!({ "new_plan": "Enterprise" })).await.expect(200);
    app.wait_for_jobs().await;
    let all = large.get(&large.path("/invoices")).await.expect(200).json();
    assert_eq!(all["data"][0]["status"], "Open");
    let id = all["data"][0]["id"].as_str().unwrap();
    let pay = large.path(&format!("/invoices/{id}/pay"));
    large.post(&pay, json!({})).await.expect(409);
}

#[tokio::test]
async fn crypto_currencies_are_for_enterprises() {
    let settings = vec![
        ("PYTAKE_PAYMENTS__BTCPAY__BASE_URL", "http://127.0.0.1:1".to_owned()),
        ("PYTAKE_PAYMENTS__BTCPAY__API_KEY", "a-key-of-the-store".to_owned()),
        ("PYTAKE_PAYMENTS__BTCPAY__STORE_ID", "store".to_owned()),
        ("PYTAKE_PAYMENTS__BTCPAY__WEBHOOK_SECRET", "a-secret-of-the-webhook".to_owned()),
    ];
    // Nobody is there: what is done by the clock fails.
    let options = AppOptions {
        settings,
        errors_expected: true,
        jobs_may_remain: true,
        ..AppOptions::default()
    };
    let app = App::start_with(options).await;
    let crypto = json!({ "provider": "BtcPay" });
    for (subdomain, plan) in [("one", "Free"), ("two", "Starter"), ("three", "Pro")] {
        let owner = app.tenant(subdomain, plan).await;
        let path = owner.path("/payment-methods");
        let refused = owner.post(&path, crypto.clone()).await.expect(422);
        assert_eq!(refused.fault_pointers(), ["/provider"]);
    }
    let owner = app.tenant("four", "Enterprise").await;
    let kept = add(&owner, crypto).await;
    assert_eq!((&kept["provider"], &kept["state"]), (&json!("BtcPay"), &json!("Usable")));

    // It pays for nothing else: not by a change to another plan, and not under one.
    let smaller = json!({ "new_plan": "Pro", "accept_over_limit": true });
    let refused = owner.post(&owner.path("/upgrade"), smaller.clone()).await.expect(402);
    assert_eq!(refused.problem(), "402 payment-method-required");
    let by_crypto = json!({ "new_plan": "Pro", "payment_method": kept["id"] });
    owner.post(&owner.path("/upgrade"), by_crypto).await.expect(409);
    let by_card = json!({ "new_plan": "Pro", "accept_over_limit": true, "payment_method": CARD });
    owner.post(&owner.path("/upgrade"), by_card).await.expect(200);
    let id = kept["id"].as_str().expect("an id");
    let path = owner.path(&format!("/payment-methods/{id}/default"));
    owner.post(&path, json!({})).await.expect(409);
}

#[tokio::test]
async fn an_invoice_is_paid_when_its_owner_says_so_and_one_attempt_at_a_time() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Free").await;
    let wish = json!({ "new_plan": "Starter", "payment_method": "card_declined_until_2" });
    owner.post(&owner.path("/upgrade"), wish).await.expect(200);
    app.wait_for_jobs().await;
    let billing = owner.get(&owner.path("/billing")).await.expect(200).json();
    assert_eq!(billing["subscription"]["status"], "PastDue");

    let all = owner.get(&owner.path("/invoices")).await.expect(200).json();
    let id = all["data"][0]["id"].as_str().unwrap();
    let pay = owner.path(&format!("/invoices/{id}/pay"));
    let attempt = owner.post(&pay, json!({})).await.expect(202).json();
    assert_eq!(attempt["attempt"], 2);
    app.wait_for_jobs().await;
    let invoice = owner.get(&owner.path(&format!("/invoices/{id}"))).await.expect(200).json();
    assert_eq!(invoice["status"], "Paid", "{invoice}");
    let billing = owner.get(&owner.path("/billing")).await.expect(200).json();
    assert_eq!(billing["subscription"]["status"], "Active");
    owner.post(&pay, json!({})).await.expect(409);
}

#[tokio::test]
async fn a_card_that_runs_out_is_told_of_once() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Free").await;
    add(&owner, json!({ "payment_method": CARD })).await;
    let mut admin = app.database().connect().await;
    let soon = "UPDATE payment_methods SET expires_on = current_date + 20,
        label = label || jsonb_build_object('expires_on', current_date + 20)";
    sqlx::query(soon).execute(&mut admin).await.expect("it runs out");
    let job =
        r#"SELECT apalis.enqueue('payments', '{"version": 1, "job": {"step": "expiries"}}', 25)"#;
    for _ in 0..2 {
        sqlx::query(job).execute(&mut admin).await.expect("a job");
    }
    app.mailbox().wait_for(&owner.email, "is good until").await;
    app.wait_for_jobs().await;
    let sql = "SELECT count(*) FROM apalis.jobs WHERE convert_from(job, 'UTF8') LIKE '%payment_method_expiring%'";
    let told: i64 = sqlx::query_scalar(sql).fetch_one(&mut admin).await.expect("a count");
    assert_eq!(told, 1);
}
