//! Measures the queues of this process, and forgets jobs that ended long ago and workers that vanished.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::app::App;
use crate::runtime::fleet::Fleet;

/// How often.
const PERIOD: Duration = Duration::from_secs(10);
/// Statements of forgetting in a row for one queue; what is left waits for the next round.
const FORGET_MAX: usize = 100;

/// Runs until the process ends.
pub(crate) async fn run(app: Arc<App>, fleet: Arc<Fleet>) {
    let mut interval = interval(PERIOD);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if let Err(error) = once(&app, &fleet).await {
            tracing::warn!("the queues are not looked after: {error}");
        }
    }
}

async fn once(app: &App, fleet: &Fleet) -> Result<(), store::Error> {
    let pool = app.upkeep.pool();
    let queues = fleet.queues();
    for depth in jobs::queue::depths(pool, &queues).await? {
        app.metrics.measured(&depth);
    }
    for queue in &queues {
        for _ in 0..FORGET_MAX {
            if !jobs::queue::forget(pool, queue, app.limits.retention).await? {
                break;
            }
        }
    }
    jobs::queue::forget_workers(pool).await?;
    Ok(())
}
