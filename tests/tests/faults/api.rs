//! Without the API.

use std::time::Duration;

use harness::{App, AppOptions, poll_async};

const BACK_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test]
async fn while_the_api_is_away_the_edge_says_so_and_recovers_by_itself() {
    let mut app =
        App::start_with(AppOptions { errors_expected: true, ..AppOptions::default() }).await;
    let owner = app.tenant("acme", "Pro").await;
    app.process("pytake-api").kill();
    let away = owner.get("/api/v1/dashboard").await;
    assert_eq!(away.problem(), "502 upstream-unavailable");
    // The edge needs no API to decide.
    let refused = app.stranger().get("/api/v1/dashboard").await;
    assert_eq!(refused.problem(), "401 unauthenticated");
    app.restart("pytake-api").await;
    let back = poll_async(BACK_WITHIN, async || {
        Some(owner.get("/api/v1/dashboard").await).filter(|answer| answer.status == 200)
    });
    assert!(back.await.is_some());
}
