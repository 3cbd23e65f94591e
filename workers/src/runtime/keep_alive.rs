//! What a process does for its workers besides work: tells that they live, listens for new jobs, measures
//! the queues, forgets old jobs. Of its own, because the library's heartbeat waits for a busy worker.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::app::App;
use crate::runtime::fleet::Fleet;

/// How often a worker tells that it lives.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(10);
/// Heartbeats missed before others take over a worker's jobs: 40 s, so a pause of the database is survived.
pub(crate) const HEARTBEATS_MISSED_MAX: usize = 4;
/// Past this age of the last heartbeat a worker is not ready.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(40);
/// Heartbeats between two rounds of forgetting.
const FORGET_EVERY: u64 = 6;

/// Runs until the process ends.
pub(crate) async fn keep_alive(app: Arc<App>, fleet: Arc<Fleet>) {
    let mut interval = interval(HEARTBEAT);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for round in 1_u64.. {
        interval.tick().await;
        match timeout(HEARTBEAT, beat(&app, &fleet, round)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("a heartbeat failed: {error}"),
            Err(_) => tracing::warn!("a heartbeat took longer than {HEARTBEAT:?}"),
        }
    }
}

async fn beat(app: &App, fleet: &Fleet, round: u64) -> Result<(), store::Error> {
    let pool = app.store.pool();
    jobs::queue::keep_alive(pool, &fleet.workers()).await?;
    let queues = fleet.queues();
    for depth in jobs::queue::depths(pool, &queues).await? {
        app.metrics.measured(&depth);
    }
    if round.is_multiple_of(FORGET_EVERY) {
        for queue in &queues {
            jobs::queue::forget(pool, queue).await?;
        }
    }
    Ok(())
}

/// Wakes workers when jobs are committed; until the process ends.
pub(crate) async fn listen(app: Arc<App>, fleet: Arc<Fleet>) {
    jobs::listen(app.store.pool().clone(), move |queue| fleet.wake(queue)).await;
}
