//! What nobody may reach by a detour: another's account, more rights than one holds, a way to lock others out.

use harness::{App, PASSWORD};
use serde_json::json;

#[tokio::test]
async fn whoever_signed_up_with_a_strangers_address_is_out_when_the_stranger_verifies_it() {
    let app = App::start().await;
    let attacker = app.tenant("acme", "Pro").await;
    let key = attacker.api_key(&["usage.read"]).await;
    let accomplice = app.member(&attacker, "accomplice@evil.example", "Manager").await;
    for role in ["Owner", "Admin"] {
        let body = json!({"email": "more@evil.example", "name": "More", "role": role});
        let refused = attacker.post(&attacker.path("/users"), body).await;
        assert_eq!(refused.problem(), "403 email-unverified");
    }

    let token = app.mailbox().wait_for(&attacker.email, "token").await.token();
    let body = json!({"token": token, "password": PASSWORD});
    let holder = app.stranger().post("/api/v1/auth/email/verify", body.clone()).await.expect(200);

    assert_eq!(attacker.get("/api/v1/dashboard").await.problem(), "401 token-invalid");
    assert_eq!(accomplice.get("/api/v1/dashboard").await.problem(), "403 tenant-mismatch");
    let program = app.stranger().bearing(&key);
    assert_eq!(program.get("/api/v1/dashboard").await.problem(), "401 api-key-revoked");
    let holder = app
        .stranger()
        .bearing(&holder.text("/access_token"))
        .with("x-tenant-id", &attacker.tenant_id);
    holder.get("/api/v1/dashboard").await.expect(200);
    let again = app.stranger().post("/api/v1/auth/email/verify", body).await;
    assert_eq!(again.problem(), "404 not-found", "a link is good once");
}

#[tokio::test]
async fn whoever_verifies_their_own_sign_up_keeps_what_they_made() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let key = owner.api_key(&["usage.read"]).await;
    app.verified(owner).await;
    app.stranger().bearing(&key).get("/api/v1/dashboard").await.expect(200);
}

#[tokio::test]
async fn a_key_never_does_what_its_creator_may_no_longer_do() {
    let app = App::start().await;
    let owner = app.verified(app.tenant("acme", "Pro").await).await;
    let admin = app.member(&owner, "admin@acme.example", "Admin").await;
    let body = json!({"name": "Audit", "permissions": ["audit.read", "usage.read"]});
    let made = admin.post(&owner.path("/api-keys"), body).await.expect(201);
    let program = app.stranger().bearing(&made.text("/key"));
    program.get(&owner.path("/audit-events")).await.expect(200);

    let creator = made.text("/created_by");
    let member = owner.path(&format!("/users/{creator}"));
    owner.patch(&member, json!({"role": "User"})).await.expect(200);
    let refused = program.get(&owner.path("/audit-events")).await;
    assert_eq!(refused.problem(), "403 permission-denied");
    program.get(&owner.path("/usage")).await.expect(200);

    owner.delete(&member).await.expect(204);
    assert_eq!(program.get(&owner.path("/usage")).await.problem(), "403 permission-denied");
}

#[tokio::test]
async fn nobody_makes_themselves_more_than_they_are() {
    let app = App::start().await;
    let owner = app.verified(app.tenant("acme", "Pro").await).await;
    let helper = app.member(&owner, "helper@acme.example", "User").await;
    let members = owner.get(&owner.path("/users")).await.expect(200).json();
    let id = members["data"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["email"] == "helper@acme.example"))
        .and_then(|one| one["id"].as_str())
        .expect("the helper")
        .to_owned();
    let member = owner.path(&format!("/users/{id}"));
    owner.patch(&member, json!({"permissions": ["ManageUsers"]})).await.expect(200);

    let refused = helper.patch(&member, json!({"role": "Admin"})).await;
    assert_eq!(refused.problem(), "403 permission-denied");
    let refused = helper.patch(&member, json!({"permissions": ["ManageTenant"]})).await;
    assert_eq!(refused.problem(), "403 permission-denied");

    let key = owner.api_key(&["users.invite"]).await;
    let program = app.stranger().bearing(&key);
    let body = json!({"email": "me@evil.example", "name": "Me", "role": "User"});
    assert_eq!(program.post(&owner.path("/users"), body).await.problem(), "403 permission-denied");
    assert_eq!(program.delete(&member).await.problem(), "403 permission-denied");
}

#[tokio::test]
async fn a_second_factor_cannot_be_required_before_one_can_be_had() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let refused = owner.put(&owner.path(""), json!({"require_two_factor": true})).await;
    assert_eq!(refused.problem(), "422 validation-failed");
    owner.get("/api/v1/dashboard").await.expect(200);
}

#[tokio::test]
async fn a_guesser_does_not_lock_the_holder_of_the_account_out() {
    let app = App::start().await;
    let owner = app.verified(app.tenant("acme", "Pro").await).await;
    let guess = json!({"email": owner.email, "password": "a wrong guess"});
    let mut refused = Vec::new();
    for _ in 0..8 {
        refused.push(app.stranger().post("/api/v1/auth/login", guess.clone()).await.problem());
    }
    assert!(refused.contains(&"401 login-failed".to_owned()), "{refused:?}");
    assert!(refused.contains(&"429 rate-limit-exceeded".to_owned()), "{refused:?}");
    // The session that the holder has goes on, whatever strangers try.
    owner.get("/api/v1/dashboard").await.expect(200);
}
