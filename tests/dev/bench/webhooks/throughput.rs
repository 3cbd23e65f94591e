//! Webhooks out: published first, then delivered by two processes, from the first request until the last is settled. On
//! a Postgres that keeps what it says it keeps.

use std::time::{Duration, Instant};

use anyhow::Result;
use harness::{CourierOptions, Couriers, Receiver, Wanted};
use tokio::task::JoinSet;

use crate::bench::Length;
use crate::bench::figures::{Bar, Figure};
use crate::say;

const PROCESSES: usize = 2;
const TENANTS: usize = 20;
const DONE_WITHIN: Duration = Duration::from_secs(300);

pub(super) async fn measure(length: Length) -> Result<Vec<Figure>> {
    let messages = if length == Length::Quick { 1_000 } else { 5_000 };
    let mut couriers =
        Couriers::start(CourierOptions { own_postgres: true, ..CourierOptions::default() }).await;
    let receiver = Receiver::counting().await;
    publish(&couriers, &receiver, messages).await;
    sqlx::raw_sql("VACUUM ANALYZE webhook_deliveries, webhook_messages")
        .execute(&mut couriers.admin().await)
        .await?;
    let began = Instant::now();
    for index in 0..PROCESSES {
        couriers.add();
        couriers.ready(index).await;
    }
    couriers.wait_until_all(DONE_WITHIN, &["Delivered"]).await;
    // The start of the processes included.
    let took = began.elapsed();
    let total = TENANTS * messages;
    let cores = std::thread::available_parallelism()?.get();
    say::note(&format!(
        "{total} webhooks were delivered in {took:?}, {} requests",
        receiver.count()
    ));
    Ok(vec![Figure {
        name: "deliveries_per_s_per_core",
        value: total as f64 / took.as_secs_f64() / cores as f64,
        bar: Bar::AtLeast(2_000.0),
    }])
}

async fn publish(couriers: &Couriers, receiver: &Receiver, messages: usize) {
    let mut publishing = JoinSet::new();
    for _ in 0..TENANTS {
        let tenant = couriers.tenant().await;
        couriers.endpoint(tenant, &receiver.url(), Wanted::default()).await;
        let publisher = couriers.publisher();
        publishing.spawn(async move {
            let mut tx = publisher.begin(tenant).await;
            for number in 0..messages {
                publisher.publish_in(&mut tx, number, "a").await;
            }
            tx.commit().await.expect("a commit");
        });
    }
    publishing.join_all().await;
}
