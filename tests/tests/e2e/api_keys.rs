//! API keys: shown once, as good as their scopes, gone when deleted.

use harness::{App, redact};
use serde_json::json;

#[tokio::test]
async fn a_key_is_shown_at_its_creation_and_never_again() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let body = json!({
        "name": "WhatsApp Integration",
        "permissions": ["whatsapp.send", "whatsapp.receive"],
        "rate_limit": 1000,
        "expires_in_days": 365,
    });
    let answer = owner.post(&owner.path("/api-keys"), body).await.expect(201);
    let key = answer.text("/key");
    let list = owner.get(&owner.path("/api-keys")).await.expect(200);
    assert!(!list.body.contains(&key));
    let mut json = answer.json();
    json["last_four"] = json!("<last four>");
    expect_test::expect![[r#"
        {
          "created_at": "<time>",
          "created_by": "member_…",
          "expires_at": "<time>",
          "id": "key_…",
          "ip_allowlist": [],
          "key": "pk_…",
          "last_four": "<last four>",
          "last_used_at": null,
          "name": "WhatsApp Integration",
          "permissions": [
            "whatsapp.send",
            "whatsapp.receive"
          ],
          "rate_limit": 1000,
          "status": "Active"
        }"#]]
    .assert_eq(&redact(&json));
}

#[tokio::test]
async fn a_key_works_at_once_and_is_refused_at_once_when_deleted() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let body = json!({"name": "Reader", "permissions": ["usage.read"]});
    let made = owner.post(&owner.path("/api-keys"), body).await.expect(201);
    let program = app.stranger().bearing(&made.text("/key"));
    program.get("/api/v1/dashboard").await.expect(200);
    owner.delete(&owner.path(&format!("/api-keys/{}", made.text("/id")))).await.expect(204);
    assert_eq!(program.get("/api/v1/dashboard").await.problem(), "401 api-key-revoked");
}

#[tokio::test]
async fn the_key_header_is_as_good_as_the_bearer() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let key = owner.api_key(&["usage.read"]).await;
    let program = app.stranger().with("x-api-key", &key);
    program.get("/api/v1/dashboard").await.expect(200);
    let other = owner.api_key(&["usage.read"]).await;
    let both = program.bearing(&other).get("/api/v1/dashboard").await;
    assert_eq!(both.problem(), "400 ambiguous-credentials");
}

#[tokio::test]
async fn a_key_may_do_what_its_scopes_allow_and_no_more() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let program = app.stranger().bearing(&owner.api_key(&["usage.read"]).await);
    program.get(&owner.path("/usage")).await.expect(200);
    assert_eq!(program.get(&owner.path("/users")).await.problem(), "403 permission-denied");
}

#[tokio::test]
async fn a_key_holds_no_scope_that_its_creator_lacks() {
    let app = App::start().await;
    let owner = app.verified(app.tenant("acme", "Pro").await).await;
    let admin = app.member(&owner, "admin@acme.com", "Admin").await;
    let body = |scope: &str| json!({"name": "Key", "permissions": [scope]});
    admin.post(&owner.path("/api-keys"), body("users.read")).await.expect(201);
    let answer = admin.post(&owner.path("/api-keys"), body("billing.read")).await;
    assert_eq!(answer.problem(), "403 permission-denied");
}

#[tokio::test]
async fn a_keys_own_limit_is_narrower_than_the_plans() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let body = json!({"name": "Slow", "permissions": ["usage.read"], "rate_limit": 2});
    let key = owner.post(&owner.path("/api-keys"), body).await.expect(201).text("/key");
    let program = app.stranger().bearing(&key);
    program.get("/api/v1/dashboard").await.expect(200);
    program.get("/api/v1/dashboard").await.expect(200);
    assert_eq!(program.get("/api/v1/dashboard").await.problem(), "429 rate-limit-exceeded");
    owner.get("/api/v1/dashboard").await.expect(200);
}
