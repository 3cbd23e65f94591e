//! Forgets messages that are older than their tenant's plan keeps, and endpoints that were deleted.

use domain::id::TenantId;
use jiff::SignedDuration;
use store::{catalogue, subscriptions, webhook_dispatch, webhook_retention};

use crate::app::App;

/// For a tenant without a plan: as for the least.
const KEPT_DAYS_MIN: u16 = 7;

pub(super) async fn keep_up(app: &App) -> anyhow::Result<()> {
    for tenant_id in webhook_dispatch::tenants(&app.store).await? {
        let kept = SignedDuration::from_hours(24 * i64::from(kept_days(app, tenant_id).await?));
        let before = app.clock.now().checked_sub(kept)?;
        loop {
            let mut tx = app.store.begin(tenant_id).await?;
            let old = webhook_retention::forget(&mut tx, before).await?;
            let deleted = webhook_retention::forget_deleted(&mut tx).await?;
            tx.commit().await?;
            if !old && !deleted {
                break;
            }
        }
    }
    Ok(())
}

async fn kept_days(app: &App, tenant_id: TenantId) -> anyhow::Result<u16> {
    let mut tx = app.store.begin(tenant_id).await?;
    match subscriptions::get(&mut tx).await {
        Ok(subscription) => {
            let plan = subscription.plan;
            let terms = catalogue::get(&mut tx, plan, subscription.plan_version).await?.terms;
            Ok(terms.limits.webhook_retention_days.get())
        }
        Err(store::Error::NotFound) => Ok(KEPT_DAYS_MIN),
        Err(error) => Err(error.into()),
    }
}
