//! Wakes workers when jobs are committed.

use std::sync::Arc;

use crate::app::App;
use crate::runtime::fleet::Fleet;

/// What is told of webhook deliveries, on the channel of the jobs: a connection that listens is enough.
const DELIVERIES: &str = "webhook deliveries";

/// Runs until the process ends.
pub(crate) async fn run(app: Arc<App>, fleet: Arc<Fleet>) {
    let pool = app.upkeep.pool().clone();
    jobs::listen(pool, move |queue| {
        fleet.wake(queue);
        if queue == DELIVERIES {
            app.webhooks.wake();
        }
    })
    .await;
}
