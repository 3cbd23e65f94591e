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

#[tokio::test]
async fn a_key_that_is_rotated_is_good_beside_its_successor_until_the_overlap_ends() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let body = json!({
        "name": "Reader", "permissions": ["usage.read"], "rate_limit": 500, "expires_in_days": 90,
        "ip_allowlist": ["127.0.0.0/8"],
    });
    let first = owner.post(&owner.path("/api-keys"), body).await.expect(201);
    let rotate = |id: String| owner.path(&format!("/api-keys/{id}/rotate"));
    let second = owner.post(&rotate(first.text("/id")), json!({})).await.expect(201);
    for same in ["name", "permissions", "rate_limit", "ip_allowlist"] {
        assert_eq!(first.json()[same], second.json()[same], "{same}");
    }
    assert_ne!(first.text("/key"), second.text("/key"));
    let hours = |answer: &serde_json::Value| {
        let time = |name: &str| -> jiff::Timestamp {
            answer[name].as_str().expect("a time").parse().expect("a time")
        };
        time("expires_at").duration_since(time("created_at")).as_hours()
    };
    assert_eq!(hours(&second.json()), 90 * 24);
    let program = |answer: &harness::Answer| app.stranger().bearing(&answer.text("/key"));
    program(&first).get("/api/v1/dashboard").await.expect(200);
    program(&second).get("/api/v1/dashboard").await.expect(200);
    let listed = owner.get(&owner.path("/api-keys")).await.expect(200).json();
    assert_eq!(hours(&listed["data"][1]), 24);

    // A longer overlap does not lengthen a life, and none ends it at once, here and at every edge.
    owner.post(&rotate(first.text("/id")), json!({ "overlap_hours": 720 })).await.expect(201);
    let listed = owner.get(&owner.path("/api-keys")).await.expect(200).json();
    assert_eq!(hours(&listed["data"][2]), 24);
    let last = owner.post(&rotate(second.text("/id")), json!({ "overlap_hours": 0 })).await;
    let last = last.expect(201);
    assert_eq!(program(&second).get("/api/v1/dashboard").await.problem(), "401 api-key-expired");
    program(&last).get("/api/v1/dashboard").await.expect(200);

    owner.post(&rotate(second.text("/id")), json!({})).await.expect(409);
    owner.post(&rotate(last.text("/id")), json!({ "overlap_hours": 721 })).await.expect(422);
    owner.delete(&owner.path(&format!("/api-keys/{}", last.text("/id")))).await.expect(204);
    owner.post(&rotate(last.text("/id")), json!({})).await.expect(404);
    program(&first).post(&rotate(first.text("/id")), json!({})).await.expect(403);
}

#[tokio::test]
async fn nobody_rotates_a_key_that_may_do_what_they_may_not() {
    let app = App::start().await;
    let owner = app.verified(app.tenant("acme", "Pro").await).await;
    let body = json!({ "name": "Billing", "permissions": ["billing.read"] });
    let made = owner.post(&owner.path("/api-keys"), body).await.expect(201);
    let admin = app.member(&owner, "admin@acme.com", "Admin").await;
    let path = owner.path(&format!("/api-keys/{}/rotate", made.text("/id")));
    assert_eq!(admin.post(&path, json!({})).await.problem(), "403 permission-denied");
    app.stranger().bearing(&made.text("/key")).get(&owner.path("/billing")).await.expect(200);
}
