//! What is too old is forgotten, and what is still on its way is not.

use std::time::Duration;

use domain::clock::{Clock as _, SystemClock};
use harness::{CourierOptions, Couriers, Receiver, Wanted};
use jiff::SignedDuration;
use store::{webhook_endpoints, webhook_retention};

const WITHIN: Duration = Duration::from_secs(60);

async fn count(couriers: &Couriers, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    let admin = &mut couriers.admin().await;
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(admin).await.expect("a count")
}

#[tokio::test]
async fn messages_go_with_their_attempts_when_their_time_is_over_and_not_before() {
    let couriers =
        Couriers::start(CourierOptions { processes: 1, ..CourierOptions::default() }).await;
    let receiver = Receiver::start().await;
    let tenant = couriers.tenant().await;
    let (endpoint, _) = couriers.endpoint(tenant, &receiver.url(), Wanted::default()).await;
    for number in 0..3 {
        couriers.publish(tenant, number, "a").await;
    }
    couriers.wait_until_all(WITHIN, &["Delivered"]).await;
    let worker = couriers.worker_store();
    let hour = SignedDuration::from_hours(1);
    let forget = async |before| {
        let mut tx = worker.begin(tenant).await.unwrap();
        let more = webhook_retention::forget(&mut tx, before).await.unwrap();
        tx.commit().await.unwrap();
        more
    };
    assert!(!forget(SystemClock.now() - hour).await);
    assert_eq!(count(&couriers, "webhook_messages").await, 3);
    // One of them is on its way again.
    let again = "UPDATE webhook_deliveries SET status = 'Pending', next_attempt_at = now() + interval '1 day'
        WHERE message_id = (SELECT max(message_id::text)::uuid FROM webhook_deliveries)";
    sqlx::raw_sql(again).execute(&mut couriers.admin().await).await.unwrap();
    assert!(!forget(SystemClock.now() + hour).await);
    for table in ["webhook_messages", "webhook_deliveries", "webhook_attempts"] {
        assert_eq!(count(&couriers, table).await, 1, "{table}");
    }

    // An endpoint that is deleted goes when nothing of it is left.
    let mut tx = worker.begin(tenant).await.unwrap();
    webhook_endpoints::delete(&mut tx, endpoint, SystemClock.now()).await.unwrap();
    webhook_retention::forget_deleted(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(count(&couriers, "webhook_endpoints").await, 1, "something is on its way");
    let held = "UPDATE webhook_deliveries SET status = 'Held', next_attempt_at = NULL";
    sqlx::raw_sql(held).execute(&mut couriers.admin().await).await.unwrap();
    for _ in 0..2 {
        let mut tx = worker.begin(tenant).await.unwrap();
        webhook_retention::forget_deleted(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
    }
    for table in ["webhook_endpoints", "webhook_lanes", "webhook_secrets", "webhook_deliveries"] {
        assert_eq!(count(&couriers, table).await, 0, "{table}");
    }
}
