//! Three ways to say who is calling, and sessions.

use harness::{Actor, App, Owner, PASSWORD};
use serde_json::json;

/// Opens the mailed link, which sets the password, and signs in: the answer to the login.
async fn verify_and_sign_in(app: &App, owner: &Owner) -> harness::Answer {
    let mail = app.mailbox().wait_for(&owner.email, "token").await;
    let body = json!({"token": mail.token(), "password": PASSWORD});
    let verified = app.stranger().post("/api/v1/auth/email/verify", body).await;
    assert!(matches!(verified.status, 200 | 204), "{verified:?}");
    login(&app.stranger(), &owner.email, PASSWORD).await
}

async fn login(actor: &Actor, email: &str, password: &str) -> harness::Answer {
    actor.post("/api/v1/auth/login", json!({"email": email, "password": password})).await
}

#[tokio::test]
async fn subdomain_key_and_token_with_header_all_name_the_tenant() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let key = owner.api_key(&["usage.read"]).await;
    let stranger = app.stranger();

    let by_host = stranger.at("acme.api.localhost").bearing(owner.token());
    let by_key = stranger.bearing(&key);
    let by_header = stranger.bearing(owner.token()).with("x-tenant-id", &owner.tenant_id);
    for actor in [by_host, by_key, by_header] {
        let answer = actor.get("/api/v1/dashboard").await.expect(200);
        assert!(answer.body.contains(&owner.tenant_id), "{answer:?}");
    }
}

#[tokio::test]
async fn hints_that_disagree_are_refused() {
    let app = App::start().await;
    let acme = app.tenant("acme", "Pro").await;
    let globex = app.tenant("globex", "Pro").await;
    let key = acme.api_key(&["usage.read", "tenant.read"]).await;
    let program = app.stranger().bearing(&key);
    let dashboard = "/api/v1/dashboard";
    let mismatches = [
        program.at("globex.api.localhost").get(dashboard).await,
        program.with("x-tenant-id", &globex.tenant_id).get(dashboard).await,
        program.get(&globex.path("")).await,
        acme.at("globex.api.localhost").get(dashboard).await,
    ];
    for answer in mismatches {
        assert_eq!(answer.problem(), "403 tenant-mismatch");
    }
}

#[tokio::test]
async fn a_host_without_a_tenant_is_not_found() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let answer = owner.at("nobody.api.localhost").get("/api/v1/dashboard").await;
    assert_eq!(answer.problem(), "404 tenant-not-found");
}

#[tokio::test]
async fn no_credential_is_unauthenticated() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let stranger = app.stranger();
    let answer = stranger.get(&owner.path("")).await;
    assert_eq!(answer.problem(), "401 unauthenticated");
    assert!(answer.header("www-authenticate").starts_with("Bearer"), "{answer:?}");
    let answer = stranger.at("acme.api.localhost").get("/api/v1/dashboard").await;
    assert_eq!(answer.problem(), "401 unauthenticated");
}

#[tokio::test]
async fn the_mailed_link_sets_the_password_and_ends_earlier_sessions() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let before = login(&app.stranger(), &owner.email, PASSWORD).await;
    assert_eq!(before.problem(), "401 login-failed");
    let session = verify_and_sign_in(&app, &owner).await.expect(200);
    let signed_in = app.stranger().bearing(&session.text("/access_token"));
    signed_in.with("x-tenant-id", &owner.tenant_id).get("/api/v1/dashboard").await.expect(200);
    let earlier = owner.get("/api/v1/dashboard").await;
    assert_eq!(earlier.status, 401, "{earlier:?}");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_answered_alike() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    verify_and_sign_in(&app, &owner).await.expect(200);
    let wrong = login(&app.stranger(), &owner.email, "not the password at all").await;
    let unknown = login(&app.stranger(), "nobody@acme.example", "not the password at all").await;
    assert_eq!(wrong.problem(), "401 login-failed");
    assert_eq!(unknown.problem(), "401 login-failed");
    assert_eq!(wrong.json()["detail"], unknown.json()["detail"]);
}

#[tokio::test]
async fn a_refresh_token_rotates_and_its_reuse_revokes_the_session() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let session = verify_and_sign_in(&app, &owner).await.expect(200);
    let refresh = async |token: &str| {
        app.stranger().post("/api/v1/auth/refresh", json!({"refresh_token": token})).await
    };
    let first = session.text("/refresh_token");
    let second = refresh(&first).await.expect(200).text("/refresh_token");
    assert_ne!(first, second);
    // A client whose answer was lost asks again, and gets the same successor.
    assert_eq!(refresh(&first).await.expect(200).text("/refresh_token"), second);
    let third = refresh(&second).await.expect(200);
    let bearer = app.stranger().bearing(&third.text("/access_token"));
    bearer.with("x-tenant-id", &owner.tenant_id).get("/api/v1/dashboard").await.expect(200);
}

#[tokio::test]
async fn a_logout_ends_the_session_at_once() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let session = verify_and_sign_in(&app, &owner).await.expect(200);
    let bearer = app.stranger().bearing(&session.text("/access_token"));
    let left = bearer.post("/api/v1/auth/logout", json!({})).await;
    assert!(matches!(left.status, 200 | 204), "{left:?}");
    let after = bearer.with("x-tenant-id", &owner.tenant_id).get("/api/v1/dashboard").await;
    assert_eq!(after.status, 401, "{after:?}");
    let body = json!({"refresh_token": session.text("/refresh_token")});
    let refreshed = app.stranger().post("/api/v1/auth/refresh", body).await;
    assert_eq!(refreshed.status, 401, "{refreshed:?}");
}

#[tokio::test]
async fn the_published_keys_verify_what_the_api_signs() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let keys = app.stranger().get("/.well-known/jwks.json").await.expect(200).json();
    let kids: Vec<_> =
        keys["keys"].as_array().expect("keys").iter().map(|key| &key["kid"]).collect();
    assert!(!kids.is_empty());
    assert!(
        keys["keys"].as_array().expect("keys").iter().all(|key| key.get("d").is_none()),
        "{keys}"
    );
    assert!(!owner.token().is_empty());
}

#[tokio::test]
async fn the_api_itself_takes_nothing_that_did_not_come_through_the_edge() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let direct = owner.calling(&app.api_url()).with("x-pytake-context", "v1.forged");
    let answer = direct.get(&owner.path("")).await.expect(401);
    assert_eq!(answer.json()["type"], "/docs/problems/unauthenticated");
}

#[tokio::test]
async fn identity_headers_of_a_client_never_reach_the_api() {
    let app = App::start().await;
    let acme = app.tenant("acme", "Pro").await;
    let globex = app.tenant("globex", "Pro").await;
    let forged = acme
        .with("x-pytake-context", "v1.forged")
        .with("x_pytake_context", "v1.forged")
        .with("x-pytake-tenant", &globex.tenant_id)
        .with("x-forwarded-for", "10.1.2.3")
        .with("forwarded", "for=10.1.2.3");
    let answer = forged.get(&acme.path("")).await.expect(200);
    assert_eq!(answer.json()["id"], acme.tenant_id.as_str());
}
