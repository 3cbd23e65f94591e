//! Each endpoint within its limits, each tenant with its share: what is leased, and to whom.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::{CourierOptions, Couriers, Wanted};
use store::Store;
use store::webhook_dispatch::{self, Leased, Outcome};
use uuid::Uuid;

use crate::leases::settled;

/// What one call leases, under a lease of its own.
struct Taken {
    lease: Uuid,
    leased: Vec<Leased>,
}

async fn take(worker: &Store, wanted: u32) -> Taken {
    let lease = Uuid::from_u128(rand::random());
    let lasting = Duration::from_secs(60);
    let leased = webhook_dispatch::lease(worker, lease, wanted, lasting).await.expect("a lease");
    Taken { lease, leased }
}

async fn prove(couriers: &Couriers) {
    sqlx::query("UPDATE webhook_lanes SET proven = true")
        .execute(&mut couriers.admin().await)
        .await
        .expect("proven lanes");
}

async fn deliver(worker: &Store, lease: Uuid, leased: &[Leased]) {
    let settlements = settled(leased, lease, Outcome::Delivered);
    assert_eq!(
        webhook_dispatch::settle(worker, &settlements).await.expect("settled"),
        leased.len() as u64
    );
}

#[tokio::test]
async fn tenants_share_alike_and_so_do_the_endpoints_of_one() {
    let couriers = Couriers::start(CourierOptions::default()).await;
    let worker = couriers.worker_store();
    let (crowd, small) = (couriers.tenant().await, couriers.tenant().await);
    for _ in 0..3 {
        couriers.endpoint(crowd, "http://127.0.0.1:1/", Wanted::default()).await;
    }
    couriers.endpoint(small, "http://127.0.0.1:1/", Wanted::default()).await;
    prove(&couriers).await;
    for number in 0..30 {
        couriers.publish(crowd, number, "a").await;
    }
    for number in 0..10 {
        couriers.publish(small, number, "a").await;
    }
    let taken = take(&worker, 12).await.leased;
    let of_small = taken.iter().filter(|one| one.tenant_id == small).count();
    assert_eq!((taken.len(), of_small), (12, 6));
    let mut by_endpoint = BTreeMap::new();
    for one in taken.iter().filter(|one| one.tenant_id == crowd) {
        *by_endpoint.entry(one.endpoint_id).or_insert(0) += 1;
    }
    assert_eq!(by_endpoint.into_values().collect::<Vec<_>>(), [2, 2, 2]);
}

#[tokio::test]
async fn an_endpoint_has_no_more_under_way_than_it_wants() {
    let couriers = Couriers::start(CourierOptions::default()).await;
    let worker = couriers.worker_store();
    let tenant = couriers.tenant().await;
    let wanted = Wanted { in_flight_max: 3, ..Wanted::default() };
    couriers.endpoint(tenant, "http://127.0.0.1:1/", wanted).await;
    prove(&couriers).await;
    for number in 0..10 {
        couriers.publish(tenant, number, "a").await;
    }
    let first = take(&worker, 100).await;
    assert_eq!((first.leased.len(), take(&worker, 100).await.leased.len()), (3, 0));
    deliver(&worker, first.lease, &first.leased[..2]).await;
    assert_eq!(take(&worker, 100).await.leased.len(), 2);
}

#[tokio::test]
async fn a_rate_limit_holds_whatever_asks_and_however_often() {
    let couriers = Couriers::start(CourierOptions::default()).await;
    let worker = couriers.worker_store();
    let tenant = couriers.tenant().await;
    // Two a second: two at once, and then one each half second.
    let wanted = Wanted { rate_limit: Some(120), ..Wanted::default() };
    couriers.endpoint(tenant, "http://127.0.0.1:1/", wanted).await;
    prove(&couriers).await;
    for number in 0..50 {
        couriers.publish(tenant, number, "a").await;
    }
    let begun = std::time::Instant::now();
    let mut taken = take(&worker, 100).await.leased.len();
    assert_eq!(taken, 2);
    for _ in 0..20 {
        let more = take(&worker, 100).await;
        taken += more.leased.len();
        deliver(&worker, more.lease, &more.leased).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let allowed = 2 + usize::try_from(begun.elapsed().as_millis() / 500).unwrap() + 1;
    assert!((3..=allowed).contains(&taken), "{taken} of {allowed}");
}

#[tokio::test]
async fn processes_that_ask_at_the_same_time_never_get_the_same() {
    let couriers = Couriers::start(CourierOptions::default()).await;
    let mut tenants = Vec::new();
    for _ in 0..5 {
        let tenant = couriers.tenant().await;
        let wanted = Wanted { in_flight_max: 100, ..Wanted::default() };
        couriers.endpoint(tenant, "http://127.0.0.1:1/", wanted).await;
        tenants.push(tenant);
    }
    prove(&couriers).await;
    for tenant in &tenants {
        let mut tx = couriers.store().begin(*tenant).await.unwrap();
        for number in 0..80 {
            couriers.publish_in(&mut tx, number, "a").await;
        }
        tx.commit().await.unwrap();
    }
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..6 {
        let worker = couriers.worker_store();
        asking.spawn(async move {
            let mut got = Vec::new();
            for round in 0..40 {
                let lease = Uuid::from_u128(1000 * number + round);
                let wait = Duration::from_secs(60);
                let leased = webhook_dispatch::lease(&worker, lease, 7, wait).await.unwrap();
                got.extend(leased.into_iter().map(|one| (one.message_id, one.endpoint_id)));
            }
            got
        });
    }
    let mut all: Vec<_> = asking.join_all().await.into_iter().flatten().collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!((count, all.len()), (400, 400));
}
