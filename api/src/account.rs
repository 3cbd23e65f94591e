//! A tenant's subscription as handlers change it: loaded at the tenant's own time, and each step stored with the invoice
//! and the jobs that follow from it.

use billing::{Subscription, Turn};
use domain::id::{InvoiceId, SubscriptionChangeId};
use domain::problem::ProblemKind;
use jiff::Timestamp;
use jobs::catalog::Billing;
use jobs::{Options, enqueue};
use serde::Serialize;
use store::billing::account::{self, Loaded};
use store::billing::finalize::finalize;
use store::billing::turn::{self, Ids};
use store::{TenantTx, invoices};
use utoipa::ToSchema;

use crate::app::{App, random};
use crate::problem::Problem;

/// Seconds after which a period that has just ended is closed, as a rule.
const CLOSING_SECS: u32 = 5;

/// The subscription of the tenant of `tx`, which nobody else changes until it ends; and the tenant's time.
pub(crate) async fn load(app: &App, tx: &mut TenantTx) -> Result<(Loaded, Timestamp), Problem> {
    let loaded = account::load(tx, &app.books, true).await?;
    // Read after the lock: whoever held it may have closed a period, or moved the tenant's clock.
    let now = app.tenant_now(tx).await?;
    let period = loaded.running.period;
    if period.end <= now {
        let detail =
            "The billing period has just ended and is being closed; try again in a moment.";
        return Err(Problem::new(ProblemKind::Conflict, detail).retry_after(CLOSING_SECS));
    }
    // Another machine's clock may be ahead of this one's: nothing happens before what was there already.
    let billed_from = loaded.fee.as_ref().map_or(period.start, |fee| fee.service.start);
    let billed_from = if billed_from < period.end { billed_from } else { period.start };
    Ok((loaded, now.max(period.start).max(billed_from)))
}

/// Makes invoices of the drafts that wait for late usage: before the plan changes, what came before is billed. Use that
/// comes in later goes on the next invoice.
pub(crate) async fn bill_drafts(
    app: &App,
    tx: &mut TenantTx,
    loaded: &Loaded,
    now: Timestamp,
) -> Result<Vec<InvoiceId>, Problem> {
    let mut billed = Vec::new();
    for id in invoices::drafts(tx, loaded.running.id).await? {
        let finalized = finalize(tx, &app.books, &loaded.running, id, now).await?;
        billed.extend(finalized.map(|invoice| invoice.id));
    }
    Ok(billed)
}

/// What a change of the subscription left.
pub(crate) struct Changed {
    /// As it is shown and audited.
    pub(crate) change: ChangeBody,
    /// The invoice, if there is one.
    pub(crate) invoice: Option<InvoiceId>,
}

/// Stores `turn` of what was [loaded](load), finalises its invoice, and has that one collected and rendered.
pub(crate) async fn carry_out(
    app: &App,
    tx: &mut TenantTx,
    loaded: &Loaded,
    turn: &Turn,
    now: Timestamp,
) -> Result<Changed, Problem> {
    let ids = Ids {
        change: SubscriptionChangeId::new(now, random()),
        invoice: InvoiceId::new(now, random()),
    };
    let drafted = turn::carry_out(tx, &app.books, loaded, turn, ids, false, now).await?;
    let mut invoice = None;
    if let (Some(id), false) = (drafted, turn.waits) {
        let finalized = finalize(tx, &app.books, &loaded.running, id, now).await?;
        invoice = finalized.map(|finalized| finalized.id);
    }
    if let Some(id) = invoice {
        collect(tx, id).await?;
    }
    Ok(Changed { change: ChangeBody::new(ids.change, &loaded.running, turn), invoice })
}

/// Has endpoints and owners told of how an invoice stands, it rendered, and what is due of it collected.
pub(crate) async fn collect(tx: &mut TenantTx, invoice_id: InvoiceId) -> Result<(), store::Error> {
    let job = Billing::Collect { tenant_id: tx.tenant_id(), invoice_id };
    enqueue(tx, &job, Options::default()).await?;
    Ok(())
}

/// A change of a subscription.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangeBody {
    #[schema(example = "subchange_01h455vb4pex5vsknk084sn02q")]
    id: String,
    /// `Upgraded`, `Downgraded`, `CycleChanged`, `Converted` (from a trial), `Canceled` or `Resumed`.
    #[schema(example = "Upgraded")]
    kind: &'static str,
    from_plan: &'static str,
    to_plan: &'static str,
    from_billing_cycle: &'static str,
    to_billing_cycle: &'static str,
    effective_at: String,
}

impl ChangeBody {
    fn new(id: SubscriptionChangeId, before: &Subscription, turn: &Turn) -> Self {
        let (plan, cycle) = turn.after.target();
        Self {
            id: id.to_string(),
            kind: turn.change.map_or("", billing::ChangeKind::as_str),
            from_plan: before.plan.as_str(),
            to_plan: plan.as_str(),
            from_billing_cycle: before.cycle.as_str(),
            to_billing_cycle: cycle.as_str(),
            effective_at: turn.effective_at().to_string(),
        }
    }
}
