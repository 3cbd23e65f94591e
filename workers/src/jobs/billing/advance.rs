//! Advances one tenant's test clock: whatever becomes due on the way runs in its order, through the same code as for
//! everybody, each step with the clock at its instant and in a transaction of its own. A kill goes on where it was.

use billing::SubscriptionStatus;
use domain::id::TenantId;
use jiff::Timestamp;
use store::{TenantTx, invoices, subscriptions, test_clocks};

use super::{close, dunning, finalize, reminders, trial_notices};
use crate::app::App;

pub(super) async fn advance(app: &App, tenant: TenantId) -> anyhow::Result<()> {
    loop {
        let mut tx = app.store.begin(tenant).await?;
        let again = step(app, &mut tx).await?;
        tx.commit().await?;
        if !again {
            return Ok(());
        }
    }
}

/// What is next on the way; whether there is more.
async fn step(app: &App, tx: &mut TenantTx) -> anyhow::Result<bool> {
    // The subscription is locked first: of two that advance, one waits, and then finds the clock where it is.
    let running = subscriptions::get_for_update(tx).await?;
    let Some(clock) = test_clocks::get(tx).await? else { return Ok(false) };
    let draft = invoices::next_draft(tx, running.id).await?;
    let notice = match running.status {
        SubscriptionStatus::Trialing { ends_at } if !running.trial_end_noticed => {
            Some(ends_at.checked_sub(app.billing.trial_notice)?)
        }
        _ => None,
    };
    let reminder = reminders::next(app, tx).await?;
    let draft_at = draft.map(|(_, at)| at);
    let (dunning, overdue) = (dunning::next(tx).await?, dunning::next_overdue(app, tx).await?);
    let reminder_at = reminder.map(|(_, at)| at);
    let next = [notice, draft_at, reminder_at, dunning, overdue, Some(running.period.end)];
    let next: Option<Timestamp> = next.into_iter().flatten().min();
    let Some(next) = next.filter(|next| *next <= clock.target) else {
        test_clocks::set(tx, clock.target).await?;
        return Ok(false);
    };
    let now = next.max(clock.now);
    test_clocks::set(tx, now).await?;
    if notice == Some(next) {
        trial_notices::notice(app, tx, running.id, now).await?;
    } else if let Some((id, _)) = draft.filter(|(_, at)| *at == next) {
        finalize::finalize(app, tx, id, now).await?;
    } else if let Some((reminder, _)) = reminder.filter(|(_, at)| *at == next) {
        reminders::remind(tx, reminder, now).await?;
    } else if dunning == Some(next) {
        dunning::go_on(app, tx, now).await?;
    } else if overdue == Some(next) {
        dunning::begin(app, tx, now).await?;
    } else {
        close::close(app, tx, now).await?;
    }
    Ok(true)
}
