//! `subscriptions` and `subscription_changes`: the running plan, and every change of it for ever.

use domain::id::{SubscriptionChangeId, SubscriptionId};
use domain::money::Currency;
use domain::plan::{BillingCycle, PlanName};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::tenant_tx::{TenantTx, Tx};

/// Where a subscription is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionStatus {
    /// Free of charge until the given time.
    Trialing {
        /// When the trial ends.
        ends_at: Timestamp,
    },
    /// In force.
    Active,
}

/// A tenant's running subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// The plan.
    pub plan: PlanName,
    /// The version of the plan that it keeps.
    pub plan_version: i32,
    /// How often it is billed.
    pub cycle: BillingCycle,
    /// In which currency, for life.
    pub currency: Currency,
    /// Trial or not.
    pub status: SubscriptionStatus,
    /// When it began; the anchor of its periods.
    pub started_at: Timestamp,
    /// Start of the running period.
    pub period_start: Timestamp,
    /// End of it.
    pub period_end: Timestamp,
    /// The provider's reference of the way to pay, sealed.
    pub payment_method_sealed: Option<Vec<u8>>,
    /// The plan and cycle from the next period on, where they change.
    pub next: Option<(PlanName, BillingCycle)>,
}

/// What kind of change it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// The subscription began.
    Started,
    /// To a dearer plan or a longer cycle.
    Upgraded,
    /// To a cheaper plan.
    Downgraded,
    /// Same plan, other cycle.
    CycleChanged,
}

impl ChangeKind {
    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "Started",
            Self::Upgraded => "Upgraded",
            Self::Downgraded => "Downgraded",
            Self::CycleChanged => "CycleChanged",
        }
    }
}

/// One change, as it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Its id.
    pub id: SubscriptionChangeId,
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// Its kind.
    pub kind: ChangeKind,
    /// Plan and cycle before; `None` when it began.
    pub from: Option<(PlanName, BillingCycle)>,
    /// Plan, its version, and cycle after.
    pub to: (PlanName, i32, BillingCycle),
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When it is in force.
    pub effective_at: Timestamp,
}

/// Inserts the first subscription of the tenant of `tx`.
///
/// # Errors
/// When the database is gone.
pub async fn insert(tx: &mut TenantTx, subscription: &Subscription) -> Result<(), Error> {
    let (status, trial_ends_at) = columns(subscription.status);
    sqlx::query!(
        "INSERT INTO subscriptions (tenant_id, id, plan, plan_version, cycle, currency, status, started_at,
            trial_ends_at, period_start, period_end)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        tx.tenant_id() as _,
        subscription.id as _,
        subscription.plan.as_str(),
        subscription.plan_version,
        subscription.cycle.as_str(),
        subscription.currency.as_str(),
        status,
        subscription.started_at.to_sqlx() as _,
        trial_ends_at.map(ToSqlx::to_sqlx) as _,
        subscription.period_start.to_sqlx() as _,
        subscription.period_end.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The running subscription of the tenant of `tx`.
///
/// # Errors
/// `NotFound` when it was canceled.
pub async fn get(tx: &mut TenantTx) -> Result<Subscription, Error> {
    find(tx, false).await
}

/// As [`get`], and nobody else changes it until the transaction ends.
///
/// # Errors
/// `NotFound` when it was canceled.
pub async fn get_for_update(tx: &mut TenantTx) -> Result<Subscription, Error> {
    find(tx, true).await
}

async fn find(tx: &mut TenantTx, lock: bool) -> Result<Subscription, Error> {
    if lock {
        sqlx::query!(
            "SELECT id FROM subscriptions WHERE tenant_id = $1 AND status <> 'Canceled' FOR UPDATE",
            tx.tenant_id() as _
        )
        .fetch_optional(tx.connection())
        .await?;
    }
    let row = sqlx::query!(
        "SELECT id, plan, plan_version, cycle, currency, status, started_at, trial_ends_at, period_start,
            period_end, payment_method_sealed, next_plan, next_cycle
        FROM subscriptions
        WHERE tenant_id = $1 AND status <> 'Canceled'",
        tx.tenant_id() as _
    )
    .fetch_one(tx.connection())
    .await?;
    let plan = |text: &str| text.parse().map_err(|_| Error::Foreign("subscriptions.plan"));
    let cycle = |text: &str| text.parse().map_err(|_| Error::Foreign("subscriptions.cycle"));
    let next = match (&row.next_plan, &row.next_cycle) {
        (Some(next_plan), Some(next_cycle)) => Some((plan(next_plan)?, cycle(next_cycle)?)),
        _ => None,
    };
    let status = match (row.status.as_str(), row.trial_ends_at) {
        ("Trialing", Some(ends_at)) => SubscriptionStatus::Trialing { ends_at: ends_at.to_jiff() },
        ("Active", _) => SubscriptionStatus::Active,
        _ => return Err(Error::Foreign("subscriptions.status")),
    };
    Ok(Subscription {
        id: row.id,
        plan: plan(&row.plan)?,
        plan_version: row.plan_version,
        cycle: cycle(&row.cycle)?,
        currency: row.currency.parse().map_err(|_| Error::Foreign("subscriptions.currency"))?,
        status,
        started_at: row.started_at.to_jiff(),
        period_start: row.period_start.to_jiff(),
        period_end: row.period_end.to_jiff(),
        payment_method_sealed: row.payment_method_sealed,
        next,
    })
}

/// Stores what a change made of a subscription that [`get_for_update`] holds.
///
/// # Errors
/// `NotFound` when it is gone.
pub async fn update(tx: &mut TenantTx, subscription: &Subscription) -> Result<(), Error> {
    let (status, trial_ends_at) = columns(subscription.status);
    let changed = sqlx::query!(
        "UPDATE subscriptions
        SET plan = $3, plan_version = $4, cycle = $5, status = $6, trial_ends_at = $7, period_start = $8,
            period_end = $9, payment_method_sealed = $10, next_plan = $11, next_cycle = $12,
            version = version + 1
        WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        subscription.id as _,
        subscription.plan.as_str(),
        subscription.plan_version,
        subscription.cycle.as_str(),
        status,
        trial_ends_at.map(ToSqlx::to_sqlx) as _,
        subscription.period_start.to_sqlx() as _,
        subscription.period_end.to_sqlx() as _,
        subscription.payment_method_sealed,
        subscription.next.map(|(plan, _)| plan.as_str()),
        subscription.next.map(|(_, cycle)| cycle.as_str())
    )
    .execute(tx.connection())
    .await?;
    if changed.rows_affected() == 1 { Ok(()) } else { Err(Error::NotFound) }
}

/// Records a change.
///
/// # Errors
/// When the database is gone.
pub async fn insert_change(tx: &mut TenantTx, change: &Change) -> Result<(), Error> {
    let (to_plan, to_plan_version, to_cycle) = change.to;
    sqlx::query!(
        "INSERT INTO subscription_changes (tenant_id, id, subscription_id, kind, from_plan, from_cycle,
            to_plan, to_plan_version, to_cycle, requested_at, effective_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        tx.tenant_id() as _,
        change.id as _,
        change.subscription_id as _,
        change.kind.as_str(),
        change.from.map(|(plan, _)| plan.as_str()),
        change.from.map(|(_, cycle)| cycle.as_str()),
        to_plan.as_str(),
        to_plan_version,
        to_cycle.as_str(),
        change.requested_at.to_sqlx() as _,
        change.effective_at.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

const fn columns(status: SubscriptionStatus) -> (&'static str, Option<Timestamp>) {
    match status {
        SubscriptionStatus::Trialing { ends_at } => ("Trialing", Some(ends_at)),
        SubscriptionStatus::Active => ("Active", None),
    }
}
