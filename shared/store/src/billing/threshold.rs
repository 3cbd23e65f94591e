//! Pay-as-you-go use that has come to much is billed before its period ends, so that nobody's debt grows for a month.

use billing::{Draft, InvoiceKind, UsageTerm};
use domain::id::InvoiceId;
use domain::period::Period;
use domain::plan::BillingCycle;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::types::Json;

use super::finalize::{self, Finalized};
use super::{BillingError, Books, account};
use crate::error::Error;
use crate::tenant_tx::{TenantTx, Tx};

/// Bills what the tenant has used so far in its period and was not billed, if that has come to the plan's threshold.
///
/// # Errors
/// As [`finalize::finalize`].
pub async fn bill(
    tx: &mut TenantTx,
    books: &Books,
    id: InvoiceId,
    now: Timestamp,
) -> Result<Option<Finalized>, BillingError> {
    let loaded = account::load(tx, books, false).await?;
    let running = &loaded.running;
    let period = running.period;
    let threshold = loaded.version.terms.thresholds.get(&running.currency).copied();
    let Some(threshold) = threshold else { return Ok(None) };
    if running.cycle != BillingCycle::PayAsYouGo || running.is_trialing() || !period.contains(now) {
        return Ok(None);
    }
    let so_far = Period { start: period.start, end: now };
    let draft = Draft {
        subscription_id: running.id,
        kind: InvoiceKind::Threshold,
        period: so_far,
        credit: None,
        fee: None,
        usage: Some(UsageTerm {
            plan: running.plan,
            version: running.plan_version,
            cycle: running.cycle,
            period: so_far,
        }),
    };
    let open = finalize::preview(tx, books, running, &draft, now).await?;
    if open.is_none_or(|invoice| invoice.subtotal_minor < threshold) {
        return Ok(None);
    }
    insert(tx, id, &draft, running.currency.as_str(), now).await?;
    finalize::finalize(tx, books, running, id, now).await
}

async fn insert(
    tx: &mut TenantTx,
    id: InvoiceId,
    draft: &Draft,
    currency: &str,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO invoices (tenant_id, id, subscription_id, kind, boundary, threshold, status, currency,
            period_start, period_end, draft, finalize_at, created_at)
        SELECT $1, $2, $3, 'Threshold', $4, 1 + count(*), 'Draft', $5, $4, $6, $7, $6, $6
        FROM invoices WHERE tenant_id = $1 AND subscription_id = $3 AND kind = 'Threshold' AND boundary = $4",
        tx.tenant_id() as _,
        id as _,
        draft.subscription_id as _,
        draft.period.start.to_sqlx() as _,
        currency,
        now.to_sqlx() as _,
        Json(draft) as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
