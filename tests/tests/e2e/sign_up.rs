//! Signing up: what a stranger gets, and what no stranger can take from another.

use harness::{App, redact};
use serde_json::json;

fn body(subdomain: &str, email: &str) -> serde_json::Value {
    json!({
        "name": "Acme Corp",
        "subdomain": subdomain,
        "plan": "Pro",
        "owner_email": email,
        "owner_name": "John Doe",
        "company_size": "10-50",
        "use_case": "Customer Support",
    })
}

#[tokio::test]
async fn sign_up_answers_tenant_owner_and_tokens() {
    let app = App::start().await;
    let answer = app.stranger().post("/api/v1/tenants", body("acme", "owner@acme.com")).await;
    let answer = answer.expect(201);
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(answer.header("x-request-id").starts_with("req_"));
    assert_eq!(answer.header("x-pytake-committed"), "", "the edge's own business");
    let mut json = answer.json();
    json["refresh_token"] = json!("<refresh>");
    expect_test::expect![[r#"
        {
          "access_token": "<token>",
          "expires_in": 600,
          "owner": {
            "created_at": "<time>",
            "email": "owner@acme.com",
            "email_verified": false,
            "id": "member_…",
            "name": "John Doe",
            "permissions": [],
            "role": "Owner",
            "status": "Active",
            "user_id": "user_…"
          },
          "refresh_token": "<refresh>",
          "tenant": {
            "billing_cycle": "Monthly",
            "company_size": "10-50",
            "created_at": "<time>",
            "id": "tenant_…",
            "name": "Acme Corp",
            "plan": "Pro",
            "require_two_factor": false,
            "status": "Active",
            "subdomain": "acme",
            "time_zone": "UTC",
            "trial_ends_at": "<time>",
            "use_case": "Customer Support"
          },
          "token_type": "Bearer"
        }"#]]
    .assert_eq(&redact(&json));
}

#[tokio::test]
async fn the_token_works_at_once() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let tenant = owner.get(&owner.path("")).await.expect(200).json();
    assert_eq!(tenant["subdomain"], "acme");
    assert_eq!(tenant["id"], owner.tenant_id.as_str());
}

#[tokio::test]
async fn the_token_is_good_for_no_other_tenant() {
    let app = App::start().await;
    let acme = app.tenant("acme", "Pro").await;
    let globex = app.tenant("globex", "Pro").await;
    let answer = acme.with("x-tenant-id", &globex.tenant_id).get(&globex.path("")).await;
    assert_eq!(answer.problem(), "403 tenant-mismatch");
}

/// Whoever signs up first with somebody's address must not have the account when its holder comes.
#[tokio::test]
async fn an_account_cannot_be_preempted_by_signing_up_with_anothers_address() {
    let app = App::start().await;
    let stranger = app.stranger();
    let thief =
        stranger.post("/api/v1/tenants", body("thief", "victim@acme.com")).await.expect(201).json();

    // The holder signs up too, and opens the mailed link of the own sign-up.
    let mine =
        stranger.post("/api/v1/tenants", body("mine", "victim@acme.com")).await.expect(201).json();
    assert_ne!(thief["owner"]["user_id"], mine["owner"]["user_id"]);
    let mails = harness::poll_async(std::time::Duration::from_secs(15), async || {
        Some(app.mailbox().all_to("victim@acme.com")).filter(|mails| mails.len() == 2)
    });
    let mails = mails.await.expect("a mail for each sign-up");
    let mut signed_in = None;
    for mail in &mails {
        let body = json!({"token": mail.token(), "password": "correct horse battery staple 7"});
        let verified = stranger.post("/api/v1/auth/email/verify", body).await;
        if verified.status == 200 && signed_in.is_none() {
            signed_in = Some(());
        }
    }
    signed_in.expect("the holder can verify the address");

    // The thief's token, from before, is of an identity of its own and reads nothing of the holder's.
    let thief = stranger.bearing(thief["access_token"].as_str().expect("a token"));
    let id = mine["tenant"]["id"].as_str().expect("an id");
    let answer = thief.with("x-tenant-id", id).get(&format!("/api/v1/tenants/{id}")).await;
    assert!(matches!(answer.status, 401 | 403), "{answer:?}");
}

#[tokio::test]
async fn the_answer_is_the_same_whether_or_not_the_address_is_known() {
    let app = App::start().await;
    let stranger = app.stranger();
    let first = stranger.post("/api/v1/tenants", body("first", "owner@acme.com")).await.expect(201);
    let second =
        stranger.post("/api/v1/tenants", body("second", "owner@acme.com")).await.expect(201);
    let shape = |answer: &harness::Answer| {
        let mut json = answer.json();
        json["refresh_token"] = json!("<refresh>");
        json["tenant"]["subdomain"] = json!("<subdomain>");
        redact(&json)
    };
    assert_eq!(shape(&first), shape(&second));
}

#[tokio::test]
async fn the_same_idempotency_key_makes_one_tenant_and_replays_without_tokens() {
    let app = App::start().await;
    let stranger = app.stranger().with("idempotency-key", "sign-up-1");
    let first = stranger.post("/api/v1/tenants", body("acme", "owner@acme.com")).await.expect(201);
    let again = stranger.post("/api/v1/tenants", body("acme", "owner@acme.com")).await.expect(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(first.text("/tenant/id"), again.text("/tenant/id"));
    assert!(again.json().get("access_token").is_none_or(serde_json::Value::is_null), "{again:?}");

    let other = stranger.post("/api/v1/tenants", body("other", "owner@acme.com")).await;
    assert_eq!(other.problem(), "422 idempotency-key-reused");
}
