//! Wakes workers when jobs are committed.

use std::sync::Arc;

use crate::app::App;
use crate::runtime::fleet::Fleet;

/// Runs until the process ends.
pub(crate) async fn run(app: Arc<App>, fleet: Arc<Fleet>) {
    jobs::listen(app.upkeep.pool().clone(), move |queue| fleet.wake(queue)).await;
}
