//! Without workers.

use harness::{App, AppOptions};
use serde_json::json;

#[tokio::test]
async fn an_invitation_made_while_no_worker_runs_is_mailed_once_when_one_comes() {
    let mut app =
        App::start_with(AppOptions { errors_expected: true, ..AppOptions::default() }).await;
    let owner = app.tenant("acme", "Pro").await;
    // A job in its hands would be taken over only after forty seconds.
    app.mailbox().wait_for(&owner.email, "token").await;
    app.wait_for_jobs().await;
    app.process("pytake-workers").kill();
    let body =
        json!({"email": "jane@acme.com", "name": "Jane", "role": "User", "send_invite": true});
    owner.post(&owner.path("/users"), body).await.expect(201);
    assert!(app.mailbox().all_to("jane@acme.com").is_empty());
    app.restart("pytake-workers").await;
    app.mailbox().wait_for("jane@acme.com", "token").await;
    let body = json!({"email": "joe@acme.com", "name": "Joe", "role": "User", "send_invite": true});
    owner.post(&owner.path("/users"), body).await.expect(201);
    app.mailbox().wait_for("joe@acme.com", "token").await;
    assert_eq!(app.mailbox().all_to("jane@acme.com").len(), 1);
}
