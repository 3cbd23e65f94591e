//! Endpoints that fail: circuits, and the way to their end. Time is moved in the database, not waited for.

use std::time::Duration;

use domain::clock::{Clock as _, SystemClock};
use harness::{CourierOptions, Couriers, Manner, Receiver, Wanted};
use store::webhook_dispatch::{self, Outcome};

use crate::leases::settled;

const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_circuit_opens_after_five_failures_and_lets_one_try() {
    let couriers = Couriers::start(CourierOptions::default()).await;
    let worker = couriers.worker_store();
    let tenant = couriers.tenant().await;
    couriers.endpoint(tenant, "http://127.0.0.1:1/", Wanted::default()).await;
    for number in 0..40 {
        couriers.publish(tenant, number, "a").await;
    }
    let lease = uuid::Uuid::from_u128(7);
    let take = async || webhook_dispatch::lease(&worker, lease, 100, WITHIN).await.unwrap();
    let later = SystemClock.now() + jiff::SignedDuration::from_hours(1);
    // An endpoint that has not proven itself gets four; after a failure two.
    let first = take().await;
    assert_eq!(first.len(), 4);
    assert!(take().await.is_empty(), "its share is under way");
    let fail = async |leased: &[_]| {
        let settlements = settled(leased, lease, Outcome::Retry(later));
        webhook_dispatch::settle(&worker, &settlements).await.unwrap()
    };
    assert_eq!(fail(&first).await, 4);
    let second = take().await;
    assert_eq!(second.len(), 2);
    fail(&second).await;
    assert!(take().await.is_empty(), "the circuit is open");
    let admin = &mut couriers.admin().await;
    sqlx::query("UPDATE webhook_lanes SET open_until = now()").execute(&mut *admin).await.unwrap();
    let probe = take().await;
    assert_eq!(probe.len(), 1, "one may try");
    // It got through: the endpoint has its whole share again.
    let well = settled(&probe, lease, Outcome::Delivered);
    webhook_dispatch::settle(&worker, &well).await.unwrap();
    assert_eq!(take().await.len(), 20);
}

#[tokio::test]
async fn what_is_settled_after_its_lease_counts_only_if_it_got_through() {
    let couriers = Couriers::start(CourierOptions::default()).await;
    let worker = couriers.worker_store();
    let tenant = couriers.tenant().await;
    couriers.endpoint(tenant, "http://127.0.0.1:1/", Wanted::default()).await;
    couriers.publish(tenant, 1, "a").await;
    let (old, new) = (uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2));
    let leased = webhook_dispatch::lease(&worker, old, 9, Duration::ZERO).await.unwrap();
    assert_eq!(webhook_dispatch::release(&worker).await.unwrap(), 1);
    let again = webhook_dispatch::lease(&worker, new, 9, WITHIN).await.unwrap();
    assert_eq!(again[0].message_id, leased[0].message_id);
    let late = settled(&leased, old, Outcome::Failed);
    assert_eq!(webhook_dispatch::settle(&worker, &late).await.unwrap(), 0);
    assert_eq!(couriers.standing().await, [("Sending".to_owned(), 1)]);
    let late = settled(&leased, old, Outcome::Delivered);
    assert_eq!(webhook_dispatch::settle(&worker, &late).await.unwrap(), 1);
    assert_eq!(couriers.standing().await, [("Delivered".to_owned(), 1)]);
}

#[tokio::test]
async fn after_five_days_of_failure_an_endpoint_is_disabled_and_told_of_on_the_way() {
    let couriers =
        Couriers::start(CourierOptions { processes: 1, ..CourierOptions::default() }).await;
    let (bad, good) = (Receiver::start().await, Receiver::start().await);
    bad.always(Manner::Answer(500, "", ""));
    let tenant = couriers.tenant().await;
    let (failing, _) = couriers.endpoint(tenant, &bad.url(), Wanted::default()).await;
    couriers.endpoint(tenant, &good.url(), Wanted::default()).await;
    couriers.publish(tenant, 1, "a").await;
    bad.wait_for(1).await;
    couriers.wait_until_all(WITHIN, &["Delivered", "Pending"]).await;
    let mut told = Vec::new();
    for hours in [59, 61, 61, 85, 109, 121] {
        let admin = &mut couriers.admin().await;
        let sql = "UPDATE webhook_lanes SET last_failure_at = first_failure_at + make_interval(hours => $2)
            WHERE endpoint_id = $1";
        sqlx::query(sql).bind(failing.as_uuid()).bind(hours).execute(&mut *admin).await.unwrap();
        // As the schedule does each minute.
        let mut tx = couriers.worker_store().control().await.unwrap();
        let job = jobs::catalog::Webhooks::Judge;
        jobs::enqueue(&mut tx, &job, jobs::Options::default()).await.unwrap();
        tx.commit().await.unwrap();
        let done = "SELECT NOT EXISTS (SELECT FROM apalis.jobs WHERE job_type = 'webhooks' AND status <> 'Done')";
        let done = harness::poll_async(WITHIN, async || {
            let done: bool =
                sqlx::query_scalar(done).fetch_one(&mut couriers.admin().await).await.unwrap();
            done.then_some(())
        });
        done.await.expect("it is judged");
        couriers.wait_until_all(WITHIN, &["Delivered", "Pending", "Held"]).await;
        let events = good.received().into_iter().map(|one| one.json());
        let events = events.filter(|event| event["type"] != "message.sent");
        told = events.map(|event| event["data"]["percent"].as_u64()).collect();
    }
    assert_eq!(told, [Some(50), Some(70), Some(90), None], "and the last says that it is disabled");
    let status: String =
        sqlx::query_scalar("SELECT disabled_reason FROM webhook_endpoints WHERE id = $1")
            .bind(failing.as_uuid())
            .fetch_one(&mut couriers.admin().await)
            .await
            .unwrap();
    assert_eq!(status, "Failing");
}
