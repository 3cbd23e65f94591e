//! What a run of billing takes on: the rows are locked for it until its transaction ends (`0019_billing_runs.sql`).

use domain::id::{InvoiceId, SubscriptionId, TenantId};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::page::{Page, Rows};
use crate::tenant_tx::{ControlTx, Tx};

/// Tenants whose subscription's period has ended, longest ago first.
///
/// # Errors
/// When the database is gone.
pub async fn lock_due_subscriptions(
    tx: &mut ControlTx,
    as_of: Timestamp,
    count: i32,
) -> Result<Vec<TenantId>, Error> {
    let tenants = sqlx::query_scalar!(
        r#"SELECT tenant_id AS "tenant_id!: TenantId" FROM lock_due_subscriptions($1, $2)"#,
        as_of.to_sqlx() as _,
        count
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(tenants)
}

/// Drafts that are to be finalised, longest ago first. `usage_until`: until when all use is counted.
///
/// # Errors
/// When the database is gone.
pub async fn lock_due_drafts(
    tx: &mut ControlTx,
    as_of: Timestamp,
    usage_until: Timestamp,
    count: i32,
) -> Result<Vec<(TenantId, InvoiceId)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!: TenantId", invoice_id AS "invoice_id!: InvoiceId"
        FROM lock_due_drafts($1, $2, $3)"#,
        as_of.to_sqlx() as _,
        usage_until.to_sqlx() as _,
        count
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(|row| (row.tenant_id, row.invoice_id)).collect())
}

/// Tenants whose trial ends by `before` and who have not been told.
///
/// # Errors
/// When the database is gone.
pub async fn lock_ending_trials(
    tx: &mut ControlTx,
    before: Timestamp,
    count: i32,
) -> Result<Vec<(TenantId, SubscriptionId)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!: TenantId", subscription_id AS "subscription_id!: SubscriptionId"
        FROM lock_ending_trials($1, $2)"#,
        before.to_sqlx() as _,
        count
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(|row| (row.tenant_id, row.subscription_id)).collect())
}

/// Pay-as-you-go tenants after one, in the order of their ids.
///
/// # Errors
/// When the database is gone.
pub async fn pay_as_you_go(
    tx: &mut ControlTx,
    after: Option<TenantId>,
    count: i32,
) -> Result<Vec<TenantId>, Error> {
    let tenants = sqlx::query_scalar!(
        r#"SELECT tenant AS "tenant!: TenantId" FROM pay_as_you_go_tenants($1, $2) AS tenant"#,
        after as _,
        count
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(tenants)
}

/// How billing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Subscriptions whose period has ended and was not closed.
    pub due: u64,
    /// Invoices that are not finalised.
    pub drafts: u64,
    /// Subscriptions that could not be billed.
    pub parked: u64,
    /// When the period ended that waits longest.
    pub oldest_due: Option<Timestamp>,
}

/// How billing stands.
///
/// # Errors
/// When the database is gone.
pub async fn standing(tx: &mut ControlTx, as_of: Timestamp) -> Result<Standing, Error> {
    let row = sqlx::query!(
        r#"SELECT due AS "due!", drafts AS "drafts!", parked AS "parked!", oldest_due
        FROM billing_standing($1)"#,
        as_of.to_sqlx() as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(Standing {
        due: row.due.unsigned_abs(),
        drafts: row.drafts.unsigned_abs(),
        parked: row.parked.unsigned_abs(),
        oldest_due: row.oldest_due.map(|at| at.to_jiff()),
    })
}

/// A subscription that could not be billed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Whose.
    pub tenant_id: TenantId,
    /// Which.
    pub subscription_id: SubscriptionId,
    /// Since when it waits.
    pub parked_at: Timestamp,
    /// Why.
    pub reason: String,
    /// When the period ended, or ends, that could not be closed.
    pub period_end: Timestamp,
}

/// A page of the subscriptions that could not be billed, in the order of their tenants.
///
/// # Errors
/// When the database is gone.
pub async fn parked(tx: &mut ControlTx, page: Page) -> Result<Rows<Parked>, Error> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!: TenantId", subscription_id AS "subscription_id!: SubscriptionId",
            parked_at AS "parked_at!", parked_reason AS "reason!", period_end AS "period_end!"
        FROM parked_subscriptions($1, $2)"#,
        page.after,
        i32::try_from(page.limit.probe()).unwrap_or(i32::MAX)
    )
    .fetch_all(tx.connection())
    .await?;
    let parked = rows.into_iter().map(|row| Parked {
        tenant_id: row.tenant_id,
        subscription_id: row.subscription_id,
        parked_at: row.parked_at.to_jiff(),
        reason: row.reason,
        period_end: row.period_end.to_jiff(),
    });
    Ok(Rows::cut(parked.collect(), page.limit, |parked| parked.tenant_id.as_uuid()))
}
