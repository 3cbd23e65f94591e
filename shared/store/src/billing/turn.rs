//! Stores what a turn made of a subscription: the row, the change, the revenue, and the draft of an invoice.

use billing::{Draft, InvoiceKind, Turn};
use domain::id::{InvoiceId, SubscriptionChangeId};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::types::Json;

use super::account::Loaded;
use super::{BillingError, Books};
use crate::catalogue;
use crate::subscriptions::{self, Change, Overage};
use crate::tenant_tx::{TenantTx, Tx};

/// Ids for what a turn makes.
#[derive(Debug, Clone, Copy)]
pub struct Ids {
    /// Of the change.
    pub change: SubscriptionChangeId,
    /// Of the invoice.
    pub invoice: InvoiceId,
}

/// Stores `turn` of what was [loaded](super::account::load); the draft, if it left one. `recorded`: whether the change
/// itself is on record already, as one that was scheduled is.
///
/// Once by its keys: a draft that is there already is not made twice.
///
/// # Errors
/// When the database is gone. Nothing of the transaction may then be committed.
pub async fn carry_out(
    tx: &mut TenantTx,
    books: &Books,
    loaded: &Loaded,
    turn: &Turn,
    ids: Ids,
    recorded: bool,
    now: Timestamp,
) -> Result<Option<InvoiceId>, BillingError> {
    let before = &loaded.running.state;
    let after = &turn.after;
    subscriptions::update(tx, after).await?;
    let target = after.target();
    if let (Some(kind), false) = (turn.change, recorded) {
        let version = match after.scheduled {
            Some(_) => catalogue::newest_version(tx, target.0).await?,
            None => after.plan_version,
        };
        let change = Change {
            id: ids.change,
            subscription_id: after.id,
            kind,
            from: Some((before.plan, before.cycle)),
            to: (target.0, version, target.1),
            requested_at: now,
            effective_at: turn.effective_at(),
        };
        subscriptions::insert_change(tx, &change).await?;
    }
    if let Some(movement) = turn.movement {
        let plans = (before.plan, after.plan);
        subscriptions::insert_movement(tx, after, movement, plans, turn.at).await?;
    }
    if (before.plan, before.plan_version, before.cycle)
        != (after.plan, after.plan_version, after.cycle)
    {
        follow_quotas(tx, books, loaded, turn).await?;
    }
    let Some(draft) = &turn.draft else { return Ok(None) };
    let finalize_at = if turn.waits { turn.at + books.terms.grace } else { now };
    let change = (draft.kind == InvoiceKind::Adjustment).then_some(ids.change);
    insert_draft(tx, ids.invoice, draft, turn.at, change, finalize_at, now, loaded).await
}

/// What the tenant allowed its use to cost is worth other quotas in another plan.
async fn follow_quotas(
    tx: &mut TenantTx,
    books: &Books,
    loaded: &Loaded,
    turn: &Turn,
) -> Result<(), BillingError> {
    let after = &turn.after;
    let version = books.version(tx, after.plan, after.plan_version).await?;
    let offer = version.offer(after.cycle, after.currency);
    let offer = offer.ok_or(BillingError::NotOffered(after.plan))?;
    let (allowed, cap_minor) = (loaded.running.overage_allowed, loaded.running.spending_cap_minor);
    let overage = overage(&offer, allowed, cap_minor)?;
    subscriptions::set_overage(tx, after.id, &overage).await?;
    Ok(())
}

/// What is stored of a tenant's word on what its use may cost.
///
/// # Errors
/// When an amount is out of range.
pub fn overage(
    offer: &billing::Offer,
    allowed: bool,
    cap_minor: Option<i64>,
) -> Result<Overage, BillingError> {
    let quotas = billing::quotas(offer, allowed, cap_minor)?;
    let quotas = quotas.into_iter().map(|(meter, quota)| (meter.to_string(), quota)).collect();
    Ok(Overage { allowed, cap_minor, quotas })
}

#[expect(clippy::too_many_arguments, reason = "a row's columns, each of another kind")]
async fn insert_draft(
    tx: &mut TenantTx,
    id: InvoiceId,
    draft: &Draft,
    boundary: Timestamp,
    change: Option<SubscriptionChangeId>,
    finalize_at: Timestamp,
    now: Timestamp,
    loaded: &Loaded,
) -> Result<Option<InvoiceId>, BillingError> {
    let inserted = sqlx::query!(
        "INSERT INTO invoices (tenant_id, id, subscription_id, kind, boundary, change_id, status, currency,
            period_start, period_end, draft, finalize_at, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, 'Draft', $7, $8, $9, $10, $11, $12)
        ON CONFLICT DO NOTHING",
        tx.tenant_id() as _,
        id as _,
        draft.subscription_id as _,
        draft.kind.as_str(),
        boundary.to_sqlx() as _,
        change as _,
        loaded.running.currency.as_str(),
        draft.period.start.to_sqlx() as _,
        draft.period.end.to_sqlx() as _,
        Json(draft) as _,
        finalize_at.to_sqlx() as _,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok((inserted.rows_affected() == 1).then_some(id))
}
