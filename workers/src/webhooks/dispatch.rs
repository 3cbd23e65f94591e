//! Leases deliveries as there is room for them, and has each attempt made.
//!
//! Room is counted so that endpoints which do not answer cost others nothing: an attempt that takes longer than a second
//! counts no more, up to a bound that memory and sockets set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use store::webhook_dispatch::{self, Leased, Settlement};
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use uuid::Uuid;

use crate::app::App;
use crate::runtime::monitor::Crew;
use crate::webhooks::send::attempt;
use crate::webhooks::settle;

/// How long a delivery is this process's: twice the longest attempt.
const LEASE: Duration = Duration::from_secs(30);
/// How long nothing is looked for when nothing is due and nobody tells.
const POLL: Duration = Duration::from_millis(250);
/// After so long an attempt is slow.
const SLOW_AFTER: Duration = Duration::from_secs(1);
/// Attempts under way, for each that counts.
const SLOW_FACTOR: u32 = 4;
/// Deliveries leased at once: enough for one statement to be worth it, few enough to begin soon.
const LEASE_MAX: u32 = 256;
/// How often leases that ran out are looked for, and the standing is measured.
const UPKEEP: Duration = Duration::from_secs(5);
/// Pause after the database refused.
const PAUSE: Duration = Duration::from_millis(500);

/// How many attempts are under way.
#[derive(Debug)]
pub(super) struct Slots {
    most: u32,
    /// All that were leased and are not settled.
    taken: AtomicU32,
    /// Those of them that are slow.
    slow: AtomicU32,
}

impl Slots {
    const fn new(most: u32) -> Self {
        Self { most, taken: AtomicU32::new(0), slow: AtomicU32::new(0) }
    }

    /// How many more there is room for.
    fn free(&self) -> u32 {
        let taken = self.taken.load(Ordering::Relaxed);
        let quick = taken.saturating_sub(self.slow.load(Ordering::Relaxed));
        let quick_left = self.most.saturating_sub(quick);
        quick_left.min((self.most * SLOW_FACTOR).saturating_sub(taken))
    }

    /// One was settled.
    pub(super) fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }

    fn is_idle(&self) -> bool {
        self.taken.load(Ordering::Relaxed) == 0
    }
}

/// Counts an attempt as slow, for as long as it lasts.
struct Slow<'a>(&'a Slots);

impl<'a> Slow<'a> {
    fn new(slots: &'a Slots) -> Self {
        slots.slow.fetch_add(1, Ordering::Relaxed);
        Self(slots)
    }
}

impl Drop for Slow<'_> {
    fn drop(&mut self) {
        self.0.slow.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Delivers until the process is to stop; then lets what was begun finish.
pub(super) async fn run(crew: Crew) {
    let app = &crew.app;
    let slots = Arc::new(Slots::new(app.webhooks.concurrency));
    let (results, settling) = mpsc::channel(settle::BATCH_MAX);
    let settler = tokio::spawn(settle::run(app.clone(), slots.clone(), settling));
    let mut stop = crew.stop.clone();
    tokio::select! {
        () = lease_all(app, &slots, &results) => {}
        () = keep_up(app) => {}
        // An error: the process ends without having said so.
        _ = stop.wait_for(|stop| *stop) => {}
    }
    drop(results);
    if timeout(crew.grace, settler).await.is_err() {
        tracing::warn!(
            "the grace period ended with webhooks still under way; others will send them"
        );
    }
    if !slots.is_idle() {
        tracing::info!("webhooks that were not settled are sent again when their lease ends");
    }
}

async fn lease_all(app: &Arc<App>, slots: &Arc<Slots>, results: &Sender<Settlement>) {
    loop {
        let wanted = slots.free().min(LEASE_MAX);
        let lease = Uuid::from_u128(rand::random());
        let leased = match wanted {
            0 => Vec::new(),
            _ => match webhook_dispatch::lease(&app.runtime, lease, wanted, LEASE).await {
                Ok(leased) => leased,
                Err(error) => {
                    tracing::warn!("webhooks are not leased: {error}");
                    sleep(PAUSE).await;
                    continue;
                }
            },
        };
        let full = leased.len() >= wanted as usize && wanted > 0;
        for delivery in leased {
            slots.taken.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(deliver(app.clone(), slots.clone(), results.clone(), lease, delivery));
        }
        if !full {
            // Told that something is due, or that there is room again; or nobody could tell.
            let _ = timeout(POLL, app.webhooks.woken.notified()).await;
        }
    }
}

async fn deliver(
    app: Arc<App>,
    slots: Arc<Slots>,
    results: Sender<Settlement>,
    lease: Uuid,
    delivery: Leased,
) {
    let mut attempt = std::pin::pin!(attempt(&app, lease, delivery));
    let settlement = match timeout(SLOW_AFTER, &mut attempt).await {
        Ok(settlement) => settlement,
        Err(_) => {
            let _slow = Slow::new(&slots);
            app.webhooks.wake();
            attempt.await
        }
    };
    match settlement {
        Some(settlement) => {
            // An error would mean that nobody settles any more: the lease ends by itself.
            let _ = results.send(settlement).await;
        }
        None => slots.give_back(),
    }
}

/// Beside the leasing: counting what waits takes its time when very much does.
async fn keep_up(app: &App) {
    let mut interval = interval(UPKEEP);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        upkeep(app).await;
    }
}

async fn upkeep(app: &App) {
    match webhook_dispatch::release(&app.upkeep).await {
        Ok(0) => {}
        Ok(released) => tracing::warn!(released, "{released} webhooks were not settled in time"),
        Err(error) => tracing::warn!("leases that ran out are not looked for: {error}"),
    }
    match webhook_dispatch::standing(&app.upkeep).await {
        Ok(standing) => app.metrics.webhooks.stand(&standing),
        Err(error) => tracing::warn!("webhooks are not measured: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_attempts_make_room_up_to_a_bound() {
        let slots = Slots::new(4);
        slots.taken.store(4, Ordering::Relaxed);
        assert_eq!(slots.free(), 0);
        let slow = [(); 3].map(|()| Slow::new(&slots));
        assert_eq!(slots.free(), 3);
        slots.taken.store(15, Ordering::Relaxed);
        slots.slow.store(15, Ordering::Relaxed);
        assert_eq!(slots.free(), 1);
        slots.give_back();
        assert_eq!(slots.free(), 2);
        slots.slow.store(3, Ordering::Relaxed);
        drop(slow);
        slots.taken.store(0, Ordering::Relaxed);
        assert!(slots.is_idle() && slots.free() == 4);
    }
}
