//! Members and invitations.

use harness::{App, PASSWORD, redact};
use serde_json::json;

fn invitation(email: &str, role: &str) -> serde_json::Value {
    json!({"email": email, "name": "Jane Smith", "role": role, "send_invite": true})
}

#[tokio::test]
async fn an_invitation_answers_the_member_and_never_the_token() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let body = json!({
        "email": "manager@acme.com",
        "name": "Jane Smith",
        "role": "Manager",
        "permissions": ["ManageWhatsApp", "ViewAnalytics"],
        "send_invite": true,
    });
    let answer = owner.post(&owner.path("/users"), body).await.expect(201);
    let token = app.mailbox().wait_for("manager@acme.com", "token").await.token();
    assert!(!answer.body.contains(&token));
    expect_test::expect![[r#"
        {
          "created_at": "<time>",
          "email": "manager@acme.com",
          "id": "member_…",
          "invitation": {
            "created_at": "<time>",
            "expires_at": "<time>",
            "id": "invitation_…",
            "status": "Pending",
            "user_id": "member_…"
          },
          "name": "Jane Smith",
          "permissions": [
            "ViewAnalytics",
            "ManageWhatsApp"
          ],
          "role": "Manager",
          "status": "Invited",
          "user_id": null
        }"#]]
    .assert_eq(&redact(&answer.json()));
}

#[tokio::test]
async fn send_invite_false_only_withholds_the_mail() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let body =
        json!({"email": "quiet@acme.com", "name": "Quiet", "role": "User", "send_invite": false});
    owner.post(&owner.path("/users"), body).await.expect(201);
    // The loud one is enqueued later; when its mail is there, the quiet one's would be too.
    owner.post(&owner.path("/users"), invitation("loud@acme.com", "User")).await.expect(201);
    app.mailbox().wait_for("loud@acme.com", "token").await;
    assert!(app.mailbox().all_to("quiet@acme.com").is_empty());
}

#[tokio::test]
async fn an_invitation_is_good_once() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    app.member(&owner, "jane@acme.com", "Manager").await;
    let token = app.mailbox().wait_for("jane@acme.com", "token").await.token();
    let body = json!({"token": token, "password": PASSWORD});
    let again = app.stranger().post("/api/v1/invitations/accept", body).await;
    assert!(matches!(again.status, 409 | 422 | 404), "{again:?}");
}

#[tokio::test]
async fn a_revoked_invitation_is_refused() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let invited = owner.post(&owner.path("/users"), invitation("jane@acme.com", "User")).await;
    let id = invited.expect(201).text("/invitation/id");
    let token = app.mailbox().wait_for("jane@acme.com", "token").await.token();
    let path = owner.path(&format!("/invitations/{id}"));
    owner.delete(&path).await.expect(204);
    let body = json!({"token": token, "password": PASSWORD});
    let answer = app.stranger().post("/api/v1/invitations/accept", body).await;
    assert!(matches!(answer.status, 409 | 422 | 404), "{answer:?}");
}

#[tokio::test]
async fn a_member_may_do_what_the_role_allows_and_no_more() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let manager = app.member(&owner, "jane@acme.com", "Manager").await;
    manager.get(&owner.path("/users")).await.expect(200);
    let billing = manager.get(&owner.path("/billing")).await;
    assert_eq!(billing.problem(), "403 permission-denied");
    let admin = manager.post(&owner.path("/users"), invitation("x@acme.com", "Admin")).await;
    assert_eq!(admin.problem(), "403 permission-denied");
    manager.post(&owner.path("/users"), invitation("y@acme.com", "ReadOnly")).await.expect(201);
}

#[tokio::test]
async fn a_removed_member_is_out_at_once() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let user = app.member(&owner, "jane@acme.com", "User").await;
    user.get("/api/v1/dashboard").await.expect(200);
    let members = owner.get(&owner.path("/users")).await.expect(200).json();
    let members = members["data"].as_array().expect("a list");
    let jane = members.iter().find(|member| member["email"] == "jane@acme.com").expect("Jane");
    let id = jane["id"].as_str().expect("an id");
    owner.delete(&owner.path(&format!("/users/{id}"))).await.expect(204);
    assert_eq!(user.get("/api/v1/dashboard").await.problem(), "403 tenant-mismatch");
}

#[tokio::test]
async fn the_last_owner_cannot_be_removed() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let id = owner.signed_up["owner"]["id"].as_str().expect("an id");
    let answer = owner.delete(&owner.path(&format!("/users/{id}"))).await;
    assert_eq!(answer.problem(), "409 conflict");
}

#[tokio::test]
async fn seats_are_counted_when_invited() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Free").await;
    owner.post(&owner.path("/users"), invitation("second@acme.com", "User")).await.expect(201);
    let third = owner.post(&owner.path("/users"), invitation("third@acme.com", "User")).await;
    assert_eq!(third.problem(), "403 plan-limit-reached");
}

#[tokio::test]
async fn the_same_address_is_invited_once() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    owner.post(&owner.path("/users"), invitation("jane@acme.com", "User")).await.expect(201);
    let again = owner.post(&owner.path("/users"), invitation("JANE@acme.com", "User")).await;
    assert_eq!(again.problem(), "409 conflict");
}
