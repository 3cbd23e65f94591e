//! A period ended, or a trial: the subscription goes on, and leaves the draft of an invoice. Periods that were missed
//! follow each other in order.

use billing::{ChangeKind, Draft, Scheduled, Turn};
use domain::event::Action;
use domain::id::{InvoiceId, SubscriptionChangeId};
use domain::plan::{BillingCycle, PlanName};
use jiff::Timestamp;
use serde_json::json;
use store::billing::account::{self, Loaded};
use store::billing::facts;
use store::billing::turn::{self, Ids};
use store::{TenantTx, subscriptions};

use super::{finalize, tell};
use crate::app::App;

/// Closes every period that has ended by `now`.
pub(super) async fn close(app: &App, tx: &mut TenantTx, now: Timestamp) -> anyhow::Result<()> {
    loop {
        let loaded = account::load(tx, &app.books, false).await?;
        if now < loaded.running.period.end {
            return Ok(());
        }
        step(app, tx, &loaded, now).await?;
    }
}

async fn step(app: &App, tx: &mut TenantTx, loaded: &Loaded, now: Timestamp) -> anyhow::Result<()> {
    let running = &loaded.running;
    let following = account::following(tx, &app.books, running).await?;
    let free =
        account::newest(tx, &app.books, running, PlanName::Free, BillingCycle::Monthly).await?;
    let account = loaded.account(loaded.payable());
    let Some(mut turn) = billing::close(account, following.as_ref(), &free, now)? else {
        return Ok(());
    };
    // The free plan bills nothing; what came late into a plan that did is owed all the same.
    if turn.draft.is_none() && facts::any_late(tx).await? {
        turn.draft = Some(Draft::of_late_use(running.id, running.period));
        turn.waits = true;
    }
    let ids = Ids {
        change: SubscriptionChangeId::new(turn.at, rand::random()),
        invoice: InvoiceId::new(turn.at, rand::random()),
    };
    // What was scheduled was recorded when it was asked for.
    let recorded = running.scheduled.is_some() && turn.change != Some(ChangeKind::TrialEnded);
    let draft = turn::carry_out(tx, &app.books, loaded, &turn, ids, recorded, now).await?;
    if let Some(kind) = turn.change {
        announce(app, tx, running.scheduled, &turn, kind, now).await?;
    }
    if let (Some(draft), false) = (draft, turn.waits) {
        finalize::finalize(app, tx, draft, now).await?;
    }
    Ok(())
}

async fn announce(
    app: &App,
    tx: &mut TenantTx,
    scheduled: Option<Scheduled>,
    turn: &Turn,
    kind: ChangeKind,
    now: Timestamp,
) -> anyhow::Result<()> {
    let after = &turn.after;
    let changes = json!({
        "kind": kind.as_str(), "plan": after.plan, "billing_cycle": after.cycle, "effective_at": turn.at.to_string(),
    });
    tell::audit(tx, Action::SubscriptionChanged, after.id.to_string(), changes, now).await?;
    let ended = scheduled == Some(Scheduled::Cancel) || kind == ChangeKind::TrialEnded;
    let standing = subscriptions::get(tx).await?.standing;
    tell::subscription(app, tx, after, standing, ended, now).await
}
