//! Without the database: the programs are cut off from it, for one test alone.

use std::time::Duration;

use harness::{App, AppOptions, Owner, poll_async};

const BACK_WITHIN: Duration = Duration::from_secs(30);

fn options() -> AppOptions {
    AppOptions { own_cable: true, errors_expected: true, ..AppOptions::default() }
}

/// Jobs that a cut interrupts are taken over after forty seconds, which no test here waits for.
async fn no_job_in_flight(app: &App, owner: &Owner) {
    app.mailbox().wait_for(&owner.email, "token").await;
    app.wait_for_jobs().await;
}

#[tokio::test]
async fn without_postgres_the_edge_decides_on_and_the_api_says_when_to_come_back() {
    let mut app = App::start_with(options()).await;
    let owner = app.tenant("acme", "Pro").await;
    let key = owner.api_key(&["usage.read"]).await;
    no_job_in_flight(&app, &owner).await;
    app.cut_off_postgres();

    let program = app.stranger().bearing(&key);
    let away = program.get("/api/v1/dashboard").await;
    assert_eq!(away.problem(), "503 overloaded");
    assert!(!away.header("retry-after").is_empty(), "{away:?}");
    // What the edge refuses, it refuses from memory.
    assert_eq!(program.get(&owner.path("/users")).await.problem(), "403 permission-denied");
    let unknown = app.stranger().bearing("pk_1234567890abcdef").get("/api/v1/dashboard").await;
    assert_eq!(unknown.problem(), "401 api-key-invalid");

    app.reconnect_postgres();
    let back = poll_async(BACK_WITHIN, async || {
        Some(program.get("/api/v1/dashboard").await).filter(|answer| answer.status == 200)
    });
    assert!(back.await.is_some(), "the API does not come back");
}

#[tokio::test]
async fn after_an_outage_the_edge_learns_of_changes_again() {
    let mut app = App::start_with(options()).await;
    let owner = app.tenant("acme", "Pro").await;
    no_job_in_flight(&app, &owner).await;
    app.cut_off_postgres();
    app.reconnect_postgres();
    let usable = poll_async(BACK_WITHIN, async || {
        let answer = owner.get("/api/v1/dashboard").await;
        (answer.status == 200).then_some(())
    });
    assert!(usable.await.is_some(), "the API does not come back");
    let key = owner.api_key(&["usage.read"]).await;
    let program = app.stranger().bearing(&key);
    let admitted = poll_async(BACK_WITHIN, async || {
        (program.get("/api/v1/dashboard").await.status == 200).then_some(())
    });
    assert!(admitted.await.is_some(), "the edge never learns of the key");
}
