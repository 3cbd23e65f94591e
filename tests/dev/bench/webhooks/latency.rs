//! From a commit to the first byte at the receiver, at half the load of the bar: events that go to ten endpoints each.
//! Then once more with one endpoint in ten swallowing connections: what the others' arrivals lose by it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use harness::{CourierOptions, Couriers, Manner, Receiver, Wanted, poll_async};

use crate::bench::Length;
use crate::bench::figures::{Bar, Figure};
use crate::say;

const TENANTS: usize = 20;
/// Of each tenant.
const ENDPOINTS: usize = 10;
/// Webhooks a second and core: half of what is to be reached.
const LOAD_PER_CORE: usize = 1_000;
const ARRIVED_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn measure(length: Length) -> Result<Vec<Figure>> {
    let lasts = Duration::from_secs(if length == Length::Quick { 5 } else { 40 });
    let plain = arrivals(lasts, false).await?;
    let beside = arrivals(lasts, true).await?;
    say::note(&format!(
        "beside black holes: p50 {:.1} ms, p99 {:.1} ms",
        at(&beside, 50),
        at(&beside, 99)
    ));
    Ok(vec![
        Figure {
            name: "commit_to_first_byte_p50_ms",
            value: at(&plain, 50),
            bar: Bar::Below(50.0),
        },
        Figure {
            name: "commit_to_first_byte_p99_ms",
            value: at(&plain, 99),
            bar: Bar::Below(500.0),
        },
        Figure {
            name: "black_hole_p99_ratio",
            value: at(&beside, 99) / at(&plain, 99),
            bar: Bar::Below(2.0),
        },
    ])
}

fn at(sorted: &[f64], percent: usize) -> f64 {
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or(f64::INFINITY)
}

/// Milliseconds from commit to arrival at the endpoints that answer, sorted.
async fn arrivals(lasts: Duration, black_holes: bool) -> Result<Vec<f64>> {
    let couriers = Couriers::start(CourierOptions {
        processes: 2,
        own_postgres: true,
        ..CourierOptions::default()
    })
    .await;
    let (receiver, hole) = (Receiver::start().await, Receiver::counting().await);
    hole.always(Manner::Swallow);
    let answering = if black_holes { ENDPOINTS - 1 } else { ENDPOINTS };
    let mut tenants = Vec::new();
    for _ in 0..TENANTS {
        let tenant = couriers.tenant().await;
        for number in 0..ENDPOINTS {
            let url = if number < answering { receiver.url() } else { hole.url() };
            couriers.endpoint(tenant, &url, Wanted::default()).await;
        }
        tenants.push(tenant);
    }
    // Endpoints prove themselves, and connections are made, before anything counts.
    for tenant in &tenants {
        couriers.publish(*tenant, 0, "a").await;
    }
    receiver.wait_for(TENANTS * answering).await;

    let cores = std::thread::available_parallelism()?.get();
    let events_per_s = LOAD_PER_CORE * cores / ENDPOINTS;
    let events = events_per_s * usize::try_from(lasts.as_secs())?;
    let mut next = tokio::time::interval(lasts / u32::try_from(events)?);
    let mut committed: HashMap<String, Instant> = HashMap::new();
    for number in 0..events {
        next.tick().await;
        let id = couriers.publish(tenants[number % TENANTS], number, "a").await;
        committed.insert(id.to_string(), Instant::now());
    }
    let expected = (events + TENANTS) * answering;
    let arrived =
        poll_async(ARRIVED_WITHIN, async || (receiver.count() >= expected as u64).then_some(()));
    arrived.await.with_context(|| format!("{} of {expected} arrived in time", receiver.count()))?;
    let mut waits: Vec<f64> = receiver
        .received()
        .iter()
        .filter_map(|one| {
            // Before the publisher heard of the commit: at once.
            let committed = committed.get(one.id())?;
            Some(one.at.saturating_duration_since(*committed).as_secs_f64() * 1_000.0)
        })
        .collect();
    waits.sort_by(f64::total_cmp);
    Ok(waits)
}
