//! Owners are told before a trial ends: once, in the transaction that marks it.

use domain::id::SubscriptionId;
use jiff::Timestamp;
use jobs::catalog::SendEmail;
use store::billing::runs;
use store::{TenantTx, subscriptions};
use webhooks::events::billing::SubscriptionTrialEnding;

use super::tell;
use crate::app::App;

/// Trials of one transaction.
const BATCH: i32 = 50;

pub(super) async fn notice_all(app: &App, now: Timestamp) -> anyhow::Result<()> {
    let before = now.checked_add(app.billing.trial_notice)?;
    loop {
        let mut tx = app.store.control().await?;
        let trials = runs::lock_ending_trials(&mut tx, before, BATCH).await?;
        let Some((first, _)) = trials.first() else { return Ok(()) };
        let mut tx = tx.enter_tenant(*first).await?;
        for (tenant, subscription) in &trials {
            tx = tx.go_on(*tenant).await?;
            notice(app, &mut tx, *subscription, now).await?;
        }
        tx.commit().await?;
    }
}

/// Tells owners and endpoints of the trial's end.
pub(super) async fn notice(
    app: &App,
    tx: &mut TenantTx,
    id: SubscriptionId,
    now: Timestamp,
) -> anyhow::Result<()> {
    let running = subscriptions::get(tx).await?;
    subscriptions::note_trial_end(tx).await?;
    let occasion = format!("trial {id}");
    tell::owners(tx, &occasion, |owner| SendEmail::TrialEnding { owner, subscription_id: id })
        .await?;
    let event = SubscriptionTrialEnding(subscriptions::told(&running, running.standing));
    tell::endpoints(app, tx, &event, occasion, now).await
}
