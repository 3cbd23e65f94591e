//! Compares every stage of usage with what it was made of. A difference is an alert; which bucket it is, is in
//! `usage_discrepancies`.

use jiff::SignedDuration;
use store::usage_rollup;

use crate::app::App;

/// How far back what was counted is compared. Longer than between two checks, so that late usage is in one.
const CHECKED: SignedDuration = SignedDuration::from_hours(48);

pub(super) async fn check(app: &App) -> anyhow::Result<()> {
    let discrepancies = usage_rollup::check(&app.store, app.clock.now() - CHECKED).await?;
    app.metrics.checked(discrepancies.len() as u64);
    for found in discrepancies {
        tracing::error!(
            stage = found.stage,
            subject = found.subject,
            bucket = found.bucket,
            expected = found.expected,
            found = found.found,
            "usage does not add up"
        );
    }
    Ok(())
}
