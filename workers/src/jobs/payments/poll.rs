//! The net under the webhooks: what has had no end for a while is looked up, by the same jobs that began it.

use jiff::SignedDuration;
use jobs::catalog::Payments;
use jobs::{Options, enqueue};
use store::{charges, disputes, provider_events, refunds};

use crate::app::App;

/// What is younger has its own job yet, or a webhook on its way.
const QUIET: SignedDuration = SignedDuration::from_mins(10);
/// Events are kept so long after they came in.
const EVENTS_KEPT: SignedDuration = SignedDuration::from_hours(24 * 90);
/// Rows of one page.
const PAGE: i32 = 500;

pub(super) async fn poll(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    let before = now - QUIET;
    let mut after = None;
    loop {
        let mut tx = app.store.control().await?;
        let page = charges::unsettled(&mut tx, before, after, PAGE).await?;
        let Some((_, last)) = page.last() else { break };
        after = Some(last.as_uuid());
        for (tenant_id, charge_id) in page {
            let job = Payments::Charge { tenant_id, charge_id };
            enqueue(&mut tx, &job, Options::default()).await?;
        }
        tx.commit().await?;
    }
    let mut after = None;
    loop {
        let mut tx = app.store.control().await?;
        let page = refunds::unsettled(&mut tx, before, after, PAGE).await?;
        let Some((_, last)) = page.last() else { break };
        after = Some(last.as_uuid());
        for (tenant_id, refund_id) in page {
            let job = Payments::Refund { tenant_id, refund_id };
            enqueue(&mut tx, &job, Options::default()).await?;
        }
        tx.commit().await?;
    }
    let mut after = None;
    loop {
        let mut tx = app.store.control().await?;
        let page = disputes::open(&mut tx, after, PAGE).await?;
        let Some((last, ..)) = page.last() else { break };
        after = Some(last.as_uuid());
        for (_, provider, reference) in page {
            enqueue(&mut tx, &Payments::Dispute { provider, reference }, Options::default())
                .await?;
        }
        tx.commit().await?;
    }
    let mut tx = app.store.control().await?;
    provider_events::forget(&mut tx, now - EVENTS_KEPT).await?;
    tx.commit().await?;
    Ok(())
}
