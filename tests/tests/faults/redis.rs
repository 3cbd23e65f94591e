//! Without Redis.

use std::time::Duration;

use harness::{App, AppOptions, poll_async};

const BACK_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test]
async fn without_redis_a_lone_edge_still_keeps_the_limit() {
    let options = AppOptions { own_redis: true, errors_expected: true, ..AppOptions::default() };
    let mut app = App::start_with(options).await;
    let owner = app.tenant("acme", "Free").await;
    app.kill_redis();
    let mut statuses = Vec::new();
    for _ in 0..15 {
        statuses.push(owner.get("/api/v1/dashboard").await.status);
    }
    let admitted = statuses.iter().filter(|status| **status == 200).count();
    assert!((9..=11).contains(&admitted), "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
}

#[tokio::test]
async fn without_redis_usage_is_shown_without_limits() {
    let options = AppOptions { own_redis: true, errors_expected: true, ..AppOptions::default() };
    let mut app = App::start_with(options).await;
    let owner = app.tenant("acme", "Pro").await;
    let path = owner.path("/usage");
    let used = async || owner.get(&path).await.expect(200).json()["limits"][0]["used"].clone();
    assert!(used().await.is_u64());
    app.kill_redis();
    assert!(used().await.is_null());
    app.start_redis();
    let back = poll_async(BACK_WITHIN, async || used().await.as_u64());
    assert!(back.await.is_some(), "the API does not ask the new Redis");
}

#[tokio::test]
async fn a_redis_that_comes_back_is_used_again() {
    let options = AppOptions { own_redis: true, errors_expected: true, ..AppOptions::default() };
    let mut app = App::start_with(options).await;
    let owner = app.tenant("acme", "Pro").await;
    owner.get("/api/v1/dashboard").await.expect(200);
    app.kill_redis();
    owner.get("/api/v1/dashboard").await.expect(200);
    app.start_redis();
    let back = poll_async(BACK_WITHIN, async || {
        owner.get("/api/v1/dashboard").await.expect(200);
        let client = redis::Client::open(app.redis_url()).ok()?;
        let mut connection = client.get_connection().ok()?;
        let keys: u64 = redis::cmd("DBSIZE").query(&mut connection).ok()?;
        (keys > 0).then_some(())
    });
    assert!(back.await.is_some(), "the edge keeps no cell in the new Redis");
}
