//! Address allowlists, of the tenant and of a key.

use harness::App;
use serde_json::json;

const DASHBOARD: &str = "/api/v1/dashboard";

#[tokio::test]
async fn a_tenant_admits_listed_addresses_only() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let key = owner.api_key(&["usage.read"]).await;
    let program = app.stranger().bearing(&key);
    program.get(DASHBOARD).await.expect(200);
    let path = owner.path("/ip-allowlist");
    let body = json!({"networks": ["10.0.0.0/8", "127.0.0.0/8"]});
    owner.put(&path, body).await.expect(200);
    program.get(DASHBOARD).await.expect(200);
    let listed = owner.get(&path).await.expect(200).json();
    assert_eq!(listed["networks"], json!(["10.0.0.0/8", "127.0.0.0/8"]));
}

#[tokio::test]
async fn a_list_that_would_lock_its_author_out_is_refused_or_enforced_at_once() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let answer = owner.put(&owner.path("/ip-allowlist"), json!({"networks": ["10.0.0.0/8"]})).await;
    match answer.status {
        200 => assert_eq!(owner.get(DASHBOARD).await.problem(), "403 ip-not-allowed"),
        _ => assert!(matches!(answer.status, 409 | 422), "{answer:?}"),
    }
}

#[tokio::test]
async fn a_key_admits_its_own_listed_addresses_only() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let body =
        json!({"name": "Far", "permissions": ["usage.read"], "ip_allowlist": ["192.0.2.0/24"]});
    let key = owner.post(&owner.path("/api-keys"), body).await.expect(201).text("/key");
    let answer = app.stranger().bearing(&key).get(DASHBOARD).await;
    assert_eq!(answer.problem(), "403 ip-not-allowed");
    // Whoever is not a trusted proxy cannot claim another address.
    let claimed =
        app.stranger().bearing(&key).with("x-forwarded-for", "192.0.2.7").get(DASHBOARD).await;
    assert_eq!(claimed.problem(), "403 ip-not-allowed");
}

#[tokio::test]
async fn a_trusted_proxys_word_about_the_address_is_taken() {
    let settings = vec![("PYTAKE_EDGE__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]".to_owned())];
    let app = App::start_with(harness::AppOptions { settings, ..Default::default() }).await;
    let owner = app.tenant("acme", "Pro").await;
    let body =
        json!({"name": "Far", "permissions": ["usage.read"], "ip_allowlist": ["192.0.2.0/24"]});
    let key = owner.post(&owner.path("/api-keys"), body).await.expect(201).text("/key");
    let program = app.stranger().bearing(&key);
    program.with("x-forwarded-for", "192.0.2.7").get(DASHBOARD).await.expect(200);
    let other = program.with("x-forwarded-for", "198.51.100.1").get(DASHBOARD).await;
    assert_eq!(other.problem(), "403 ip-not-allowed");
}

#[tokio::test]
async fn networks_that_are_none_are_named_with_their_place() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let body = json!({"networks": ["10.0.0.0/8", "10.0.0.0/99", "here"]});
    let answer = owner.put(&owner.path("/ip-allowlist"), body).await;
    assert_eq!(answer.problem(), "422 validation-failed");
    assert_eq!(answer.fault_pointers(), ["/networks/1", "/networks/2"]);
}
