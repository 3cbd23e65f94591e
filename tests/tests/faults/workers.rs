//! Without workers, and workers without the database.

use std::time::Duration;

use harness::{App, AppOptions, poll_async};
use serde_json::json;

const BACK_WITHIN: Duration = Duration::from_secs(30);

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

#[tokio::test]
async fn without_postgres_the_workers_are_not_ready_and_go_on_by_themselves() {
    let options = AppOptions { own_cable: true, errors_expected: true, ..AppOptions::default() };
    let mut app = App::start_with(options).await;
    let owner = app.tenant("acme", "Pro").await;
    // A job in their hands would be taken over only after forty seconds.
    app.mailbox().wait_for(&owner.email, "token").await;
    app.wait_for_jobs().await;
    let operator = app.stranger().calling(&app.metrics_url("pytake-workers"));
    app.cut_off_postgres();
    let away = operator.get("/readyz").await.expect(503);
    assert!(away.body.starts_with("not ready: "), "{}", away.body);
    operator.get("/healthz").await.expect(200);

    app.reconnect_postgres();
    let back = poll_async(BACK_WITHIN, async || {
        Some(operator.get("/readyz").await).filter(|answer| answer.status == 200)
    });
    assert!(back.await.is_some(), "the workers do not come back");
    let back = poll_async(BACK_WITHIN, async || {
        Some(owner.get("/api/v1/dashboard").await).filter(|answer| answer.status == 200)
    });
    assert!(back.await.is_some(), "the API does not come back");
    let body =
        json!({"email": "jane@acme.com", "name": "Jane", "role": "User", "send_invite": true});
    owner.post(&owner.path("/users"), body).await.expect(201);
    app.mailbox().wait_for("jane@acme.com", "token").await;
}
