//! When something is sent, and sent again.

use std::time::Duration;

use harness::{CourierOptions, Couriers, Manner, Receiver, Wanted};

const WITHIN: Duration = Duration::from_secs(60);

async fn couriers() -> Couriers {
    Couriers::start(CourierOptions { processes: 1, ..CourierOptions::default() }).await
}

#[tokio::test]
async fn what_fails_is_tried_again_under_the_same_id() {
    let couriers = couriers().await;
    let receiver = Receiver::start().await;
    receiver.next([Manner::Answer(500, "", "broken")]);
    let tenant = couriers.tenant().await;
    couriers.endpoint(tenant, &receiver.url(), Wanted::default()).await;
    let id = couriers.publish(tenant, 1, "a").await;
    let told = receiver.wait_for(2).await;
    assert!(told.iter().all(|one| one.id() == id.to_string() && one.body == told[0].body));
    let pause = told[1].at.duration_since(told[0].at);
    assert!(pause >= Duration::from_secs(4), "{pause:?}");
    couriers.wait_until_all(WITHIN, &["Delivered"]).await;
    let sql = "SELECT number, status_code, error_code FROM webhook_attempts ORDER BY number";
    let log: Vec<(i32, Option<i16>, Option<String>)> =
        sqlx::query_as(sql).fetch_all(&mut couriers.admin().await).await.unwrap();
    assert_eq!(log, [(1, Some(500), Some("status".to_owned())), (2, Some(200), None)]);
}

#[tokio::test]
async fn who_asks_for_silence_gets_it_for_all_its_messages() {
    let couriers = couriers().await;
    let receiver = Receiver::start().await;
    receiver.next([Manner::Answer(429, "retry-after: 2000\r\n", "")]);
    let tenant = couriers.tenant().await;
    couriers.endpoint(tenant, &receiver.url(), Wanted::default()).await;
    couriers.publish(tenant, 1, "a").await;
    receiver.wait_for(1).await;
    let asked = "SELECT next_attempt_at > now() + interval '30 minutes' FROM webhook_deliveries WHERE attempts = 1";
    let stored = harness::poll_async(WITHIN, async || {
        let stored: Option<bool> =
            sqlx::query_scalar(asked).fetch_optional(&mut couriers.admin().await).await.unwrap();
        stored
    });
    assert_eq!(stored.await, Some(true));
    couriers.publish(tenant, 2, "b").await;
    let paused = "SELECT open_until > now() + interval '30 minutes' FROM webhook_lanes";
    let paused: bool =
        sqlx::query_scalar(paused).fetch_one(&mut couriers.admin().await).await.unwrap();
    assert!(paused && receiver.received().len() == 1);
}

#[tokio::test]
async fn redirects_are_failures_and_answers_are_kept_in_part() {
    let couriers = couriers().await;
    let receiver = Receiver::start().await;
    receiver.next([Manner::Answer(302, "location: http://127.0.0.1:1/\r\n", "elsewhere")]);
    let tenant = couriers.tenant().await;
    couriers.endpoint(tenant, &receiver.url(), Wanted::default()).await;
    couriers.publish(tenant, 1, "a").await;
    receiver.wait_for(1).await;
    let sql = "SELECT status_code, error_code, answer_sealed FROM webhook_attempts";
    let log = harness::poll_async(WITHIN, async || {
        let log: Option<(i16, String, Option<Vec<u8>>)> =
            sqlx::query_as(sql).fetch_optional(&mut couriers.admin().await).await.unwrap();
        log
    });
    let (status, code, answer) = log.await.expect("an attempt");
    assert_eq!((status, code.as_str()), (302, "redirect"));
    let answer = answer.expect("an answer");
    assert!(!answer.windows(9).any(|window| window == b"elsewhere"), "it is sealed");
}

#[tokio::test]
async fn deliveries_are_counted_as_use_once_each() {
    let couriers = couriers().await;
    let receiver = Receiver::start().await;
    let tenant = couriers.tenant().await;
    let (endpoint, _) = couriers.endpoint(tenant, &receiver.url(), Wanted::default()).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(couriers.publish(tenant, number, "a").await);
    }
    couriers.wait_until_all(WITHIN, &["Delivered"]).await;
    let mut tx = couriers.store().begin(tenant).await.unwrap();
    store::webhook_deliveries::resend(&mut tx, endpoint, ids[0]).await.unwrap();
    tx.commit().await.unwrap();
    receiver.wait_for(6).await;
    couriers.wait_until_all(WITHIN, &["Delivered"]).await;
    let counted = "SELECT sum(quantity)::bigint FROM usage_batch_rows, unnest(tenants, quantities) AS row (tenant_id, quantity)
        WHERE tenant_id = $1";
    let counted: i64 = sqlx::query_scalar(counted)
        .bind(tenant.as_uuid())
        .fetch_one(&mut couriers.admin().await)
        .await
        .unwrap();
    assert_eq!(counted, 5);
}

#[tokio::test]
async fn payloads_are_erased_with_their_tenants_key() {
    let couriers = couriers().await;
    let receiver = Receiver::start().await;
    let tenant = couriers.tenant().await;
    let (endpoint, _) = couriers.endpoint(tenant, &receiver.url(), Wanted::default()).await;
    let id = couriers.publish(tenant, 1, "a").await;
    couriers.wait_until_all(WITHIN, &["Delivered"]).await;
    let admin = &mut couriers.admin().await;
    let payload: Vec<u8> = sqlx::query_scalar("SELECT payload_sealed FROM webhook_messages")
        .fetch_one(&mut *admin)
        .await
        .unwrap();
    assert!(!payload.windows(5).any(|window| window == b"trial"), "it is sealed");
    sqlx::query("DELETE FROM tenant_data_keys").execute(&mut *admin).await.unwrap();
    // Another version of the endpoint: what was opened before is not used.
    sqlx::query("UPDATE webhook_endpoints SET version = version + 1")
        .execute(&mut *admin)
        .await
        .unwrap();
    let mut tx = couriers.store().begin(tenant).await.unwrap();
    store::webhook_deliveries::resend(&mut tx, endpoint, id).await.unwrap();
    tx.commit().await.unwrap();
    couriers.wait_until_all(WITHIN, &["Failed"]).await;
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn metrics_tell_how_it_goes() {
    let couriers = couriers().await;
    let receiver = Receiver::start().await;
    let tenant = couriers.tenant().await;
    couriers.endpoint(tenant, &receiver.url(), Wanted::default()).await;
    couriers.publish(tenant, 1, "a").await;
    couriers.wait_until_all(WITHIN, &["Delivered"]).await;
    let told = harness::poll_async(WITHIN, async || {
        let text = couriers.operator(0).get("/metrics").await.body;
        let all = [
            "pytake_webhook_attempts_total{outcome=\"delivered\"} 1",
            "pytake_webhook_commit_to_first_byte_seconds_count 1",
            "pytake_webhook_endpoints{state=\"enabled\"} 1",
            "pytake_webhook_open_circuits 0",
            "pytake_webhook_deliveries{state=\"due\"} 0",
        ];
        all.iter().all(|line| text.contains(line)).then_some(())
    });
    assert!(told.await.is_some(), "{}", couriers.operator(0).get("/metrics").await.body);
}
