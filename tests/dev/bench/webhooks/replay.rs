//! A million messages that an endpoint was held back from are sent to it again: how much more memory that takes of the
//! process that does it, from before to the most it ever has.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use domain::clock::{Clock as _, SystemClock};
use domain::id::{TenantId, WebhookEndpointId, WebhookReplayId};
use harness::{CourierOptions, Couriers, Receiver, Wanted, poll_async};
use jiff::Timestamp;
use jobs::catalog::Webhooks;
use jobs::{Options, enqueue};
use store::webhook_endpoints::{self, DisabledReason};
use store::webhook_replays::{self, Replay, Scope};

use crate::bench::Length;
use crate::bench::figures::{Bar, Figure};
use crate::say;

const DONE_WITHIN: Duration = Duration::from_secs(900);
/// Memory that comes and goes with whatever is done.
const GROWTH_MAX_MB: f64 = 64.0;

pub(super) async fn measure(length: Length) -> Result<Vec<Figure>> {
    let messages: usize = if length == Length::Quick { 20_000 } else { 1_000_000 };
    let mut couriers =
        Couriers::start(CourierOptions { own_postgres: true, ..CourierOptions::default() }).await;
    let receiver = Receiver::counting().await;
    let tenant = couriers.tenant().await;
    let (endpoint, _) = couriers
        .endpoint(tenant, &receiver.url(), Wanted { in_flight_max: 100, ..Wanted::default() })
        .await;
    couriers.add();
    couriers.ready(0).await;
    // What the process needs to do anything at all, connections included.
    for number in 0..100 {
        couriers.publish(tenant, number, "a").await;
    }
    couriers.wait_until_all(DONE_WITHIN, &["Delivered"]).await;
    let before = memory_mb(couriers.process(0).pid())?;
    let mut tx = couriers.store().begin(tenant).await?;
    webhook_endpoints::disable(&mut tx, endpoint, DisabledReason::ByUser, SystemClock.now())
        .await?;
    tx.commit().await?;
    couriers.hold_back(tenant, endpoint, messages).await;
    let began = Instant::now();
    let replay = begin(&couriers, tenant, endpoint).await?;
    let pid = couriers.process(0).pid();
    let mut most = before;
    let sent = u64::try_from(messages)? + 100;
    let ended = poll_async(DONE_WITHIN, async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        (receiver.count() >= sent).then_some(())
    });
    tokio::pin!(ended);
    loop {
        tokio::select! {
            ended = &mut ended => {
                ended.with_context(|| format!("{} of {sent} were sent in time", receiver.count()))?;
                break;
            }
            () = tokio::time::sleep(Duration::from_millis(100)) => {
                most = most.max(memory_mb(pid)?);
            }
        }
    }
    let mut tx = couriers.store().begin(tenant).await?;
    let done = webhook_replays::get(&mut tx, replay).await?;
    say::note(&format!(
        "{messages} were sent again in {:?} ({}: {} of {}); memory {before:.0} → {most:.0} MB",
        began.elapsed(),
        done.status,
        done.queued,
        done.total
    ));
    Ok(vec![Figure {
        name: "replay_memory_growth_mb",
        value: most - before,
        bar: Bar::Below(GROWTH_MAX_MB),
    }])
}

async fn begin(
    couriers: &Couriers,
    tenant_id: TenantId,
    endpoint_id: WebhookEndpointId,
) -> Result<WebhookReplayId> {
    let now = SystemClock.now();
    let id = WebhookReplayId::new(now, rand::random());
    let replay = Replay::new(id, endpoint_id, Scope::Failed, Timestamp::UNIX_EPOCH, now);
    let mut tx = couriers.store().begin(tenant_id).await?;
    webhook_endpoints::enable(&mut tx, endpoint_id, now).await?;
    webhook_replays::begin(&mut tx, &replay).await?;
    let job = Webhooks::Replay { tenant_id, replay_id: id };
    enqueue(&mut tx, &job, Options::default()).await?;
    tx.commit().await?;
    Ok(id)
}

/// What of a process is in memory, in megabytes.
fn memory_mb(pid: i32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 =
        line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?.parse()?;
    Ok(kib * 1024.0 / 1_000_000.0)
}
