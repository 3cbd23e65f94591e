//! What was counted outlives whatever forgets: Postgres away, an edge killed, Redis emptied.

use std::time::Duration;

use harness::{Actor, AppOptions, poll_async};
use serde_json::json;

use crate::stage::{COUNTED_WITHIN, Stage};

const WAITING: &str = "pytake_edge_usage_batches_waiting ";

#[tokio::test]
async fn usage_waits_on_disk_while_postgres_is_away_and_over_a_kill_of_the_edge() {
    let options = AppOptions { own_cable: true, errors_expected: true, ..AppOptions::default() };
    let mut stage = Stage::set(options).await;
    let owner = stage.app.tenant("acme", "Enterprise").await;
    let key = owner.api_key(&["usage.read"]).await;
    stage.app.mailbox().wait_for(&owner.email, "token").await;
    stage.app.wait_for_jobs().await;
    let program = stage.app.stranger().bearing(&key);
    stage.app.cut_off_postgres();
    for _ in 0..7 {
        program.get("/fine").await.expect(200);
    }
    stage.app.process("pytake-proxy").kill();
    stage.app.start_again("pytake-proxy");
    let back = poll_async(COUNTED_WITHIN, async || {
        program.try_get("/moved").await.filter(|answer| answer.status == 302).map(|_| ())
    });
    assert!(back.await.is_some(), "the edge does not come back without Postgres");
    for _ in 0..5 {
        program.post("/send", json!({})).await.expect(200);
    }
    // Long enough for both edges' batches to be offered in vain.
    let metrics = stage.app.stranger().calling(&stage.app.metrics_url("pytake-proxy"));
    let waiting = poll_async(COUNTED_WITHIN, async || {
        let metrics = metrics.try_get("/metrics").await?.body;
        assert!(metrics.contains("pytake_edge_usage_has_room 1"), "{metrics}");
        let waiting = metrics.lines().find_map(|line| line.strip_prefix(WAITING))?;
        (waiting.parse::<u32>().ok()? >= 2).then_some(())
    });
    assert!(waiting.await.is_some(), "nothing waits on disk");
    stage.app.reconnect_postgres();
    stage.app.ready().await;
    // Making the key was a call, too.
    stage.wait_for("api_calls", &[("2xx", 13), ("3xx", 1)]).await;
    stage.wait_for("messages", &[("2xx", 15)]).await;
    assert_eq!(stage.discrepancies().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_quota_is_spent_still_when_redis_and_the_edge_have_forgotten_it() {
    let options = AppOptions { own_redis: true, errors_expected: true, ..AppOptions::default() };
    let mut stage = Stage::set(options).await;
    let twelve = "UPDATE plan_versions SET messages_per_month = 12";
    sqlx::raw_sql(twelve)
        .execute(&mut stage.app.database().connect().await)
        .await
        .expect("a smaller plan");
    let owner = stage.app.tenant("acme", "Pro").await;
    let program = stage.app.stranger().bearing(&owner.api_key(&["usage.read"]).await);
    // Three each. While Redis is slow an edge may be off by a few calls, either way.
    let admitted = spend(&program).await;
    assert!((4..=7).contains(&admitted), "{admitted} calls were admitted");
    stage.wait_for("messages", &[("2xx", 3 * admitted)]).await;

    stage.app.kill_redis();
    stage.app.process("pytake-proxy").kill();
    stage.app.start_redis();
    stage.app.restart("pytake-proxy").await;
    // Any count of anybody has the workers notice that Redis is empty.
    let other = stage.app.tenant("globex", "Pro").await;
    other.get(&other.path("/usage")).await.expect(200);
    let raised = poll_async(COUNTED_WITHIN, async || {
        let usage = owner.get(&owner.path("/usage")).await.json();
        let limits = usage["limits"].as_array()?.clone();
        let messages = limits.into_iter().find(|limit| limit["policy"] == "messages")?;
        (messages["used"].as_u64()? >= 12).then_some(())
    });
    assert!(raised.await.is_some(), "the quota is never raised");
    let more = spend(&program).await;
    assert!(more <= 3, "{more} calls more than the quota were admitted");
    stage.wait_for("messages", &[("2xx", 3 * (admitted + more))]).await;
}

/// Sends messages until they are refused, and stay so. How many were not.
async fn spend(program: &Actor) -> i64 {
    let (mut admitted, mut refused) = (0, 0);
    while refused < 3 {
        let answer = program.post("/send", json!({})).await;
        if answer.status == 200 {
            admitted += 1;
            refused = 0;
        } else {
            assert_eq!(answer.problem(), "429 quota-exceeded");
            refused += 1;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    admitted
}
