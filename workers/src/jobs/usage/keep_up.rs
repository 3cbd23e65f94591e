//! Makes the partitions of the coming days and months ahead, and forgets what is too old.

use std::time::Duration;

use store::usage_rollup::{self, Retention};

use crate::app::App;

const DAY: u64 = 86_400;

/// Batches as they came: as long as usage may come late, and some days to look into it. Hours: a year, so that one
/// can be compared with the last. Days: seven years, as long as invoices are kept.
const KEPT: Retention = Retention {
    batches: Duration::from_secs(40 * DAY),
    hours: Duration::from_secs(400 * DAY),
    days: Duration::from_secs(2_600 * DAY),
};

pub(super) async fn keep_up(app: &App) -> anyhow::Result<()> {
    while usage_rollup::keep_up(&app.store, KEPT).await? > 0 {}
    Ok(())
}
