//! A tenant's settings, and its end.

use harness::App;
use serde_json::json;

#[tokio::test]
async fn settings_change_and_are_read_back() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let path = owner.path("");
    let changed =
        owner.put(&path, json!({"name": "Acme Corporation", "time_zone": "Europe/Berlin"})).await;
    assert_eq!(changed.expect(200).json()["name"], "Acme Corporation");
    let read = owner.get(&path).await.expect(200).json();
    assert_eq!(
        (&read["name"], &read["time_zone"]),
        (&json!("Acme Corporation"), &json!("Europe/Berlin"))
    );
}

#[tokio::test]
async fn a_change_based_on_an_old_reading_is_refused() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let path = owner.path("");
    let read = owner.get(&path).await.expect(200);
    let etag = read.header("etag").to_owned();
    assert!(!etag.is_empty(), "{read:?}");
    let first =
        owner.with("if-match", &etag).put(&path, json!({"name": "First"})).await.expect(200);
    assert_ne!(first.header("etag"), etag);
    let second = owner.with("if-match", &etag).put(&path, json!({"name": "Second"})).await;
    assert_eq!(second.problem(), "412 precondition-failed");
    assert_eq!(owner.get(&path).await.json()["name"], "First");
}

#[tokio::test]
async fn a_closed_tenant_admits_nobody() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let key = owner.api_key(&["usage.read"]).await;
    let closed = owner.delete(&owner.path("")).await;
    assert!(matches!(closed.status, 200 | 202 | 204), "{closed:?}");
    for actor in [app.stranger().bearing(&key), owner.actor(), owner.at("acme.api.localhost")] {
        let answer = actor.get("/api/v1/dashboard").await;
        assert!(matches!(answer.status, 401 | 403 | 404), "{answer:?}");
        let _ = answer.problem();
    }
    let taken = json!({
        "name": "Again", "subdomain": "acme", "plan": "Pro",
        "owner_email": "x@y.example", "owner_name": "X",
    });
    assert_eq!(app.stranger().post("/api/v1/tenants", taken).await.problem(), "409 conflict");
}

#[tokio::test]
async fn every_change_leaves_an_audit_event() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    owner.put(&owner.path(""), json!({"name": "Acme Corporation"})).await.expect(200);
    owner.api_key(&["usage.read"]).await;
    let events = owner.get(&owner.path("/audit-events")).await.expect(200).json();
    let mut actions: Vec<_> = events["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| event["action"].to_string())
        .collect();
    actions.sort();
    expect_test::expect![[r#"
        [
            "\"api_key.created\"",
            "\"tenant.created\"",
            "\"tenant.updated\"",
        ]
    "#]]
    .assert_debug_eq(&actions);
}
