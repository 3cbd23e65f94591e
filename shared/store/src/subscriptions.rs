//! `subscriptions` and `subscription_changes`: the running plan, and every change of it for ever.

use billing::{ChangeKind, Movement, Scheduled, Subscription, SubscriptionStatus};
use domain::id::{SubscriptionChangeId, SubscriptionId};
use domain::payment::ProviderName;
use domain::period::Period;
use domain::plan::{BillingCycle, PlanName};
use domain::standing::Standing;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::types::Json;
use webhooks::events::billing::SubscriptionData;

use crate::error::Error;
use crate::payment_methods::provider;
use crate::tenant_tx::{TenantTx, Tx};

/// A tenant's running subscription: the engine's, and what only the database needs to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// What was agreed, and where it is in its life.
    pub state: Subscription,
    /// Whether what it owes is paid.
    pub standing: Standing,
    /// With whom the way to pay is that is charged, where there is one.
    pub pays_by: Option<ProviderName>,
    /// Whether use may go on past what the plan includes.
    pub overage_allowed: bool,
    /// What it may then cost in a period, in minor units.
    pub spending_cap_minor: Option<i64>,
    /// Whether its owners were told of the trial's end.
    pub trial_end_noticed: bool,
    /// Whether the tenant lives on a time of its own.
    pub on_test_clock: bool,
    /// Which state of the row this is.
    pub version: i64,
}

/// A running subscription is read as the engine's.
impl std::ops::Deref for Running {
    type Target = Subscription;

    fn deref(&self) -> &Subscription {
        &self.state
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
pub async fn insert(
    tx: &mut TenantTx,
    subscription: &Subscription,
    on_test_clock: bool,
) -> Result<(), Error> {
    let status = subscription.status;
    sqlx::query!(
        "INSERT INTO subscriptions (tenant_id, id, plan, plan_version, cycle, currency, status, started_at,
            trial_ends_at, anchor, period_start, period_end, on_test_clock)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        tx.tenant_id() as _,
        subscription.id as _,
        subscription.plan.as_str(),
        subscription.plan_version,
        subscription.cycle.as_str(),
        subscription.currency.as_str(),
        status.as_str(),
        subscription.started_at.to_sqlx() as _,
        status.trial_ends_at().map(ToSqlx::to_sqlx) as _,
        subscription.anchor.to_sqlx() as _,
        subscription.period.start.to_sqlx() as _,
        subscription.period.end.to_sqlx() as _,
        on_test_clock
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The running subscription of the tenant of `tx`.
///
/// # Errors
/// `NotFound` when it was canceled.
pub async fn get(tx: &mut TenantTx) -> Result<Running, Error> {
    let row = sqlx::query!(
        "SELECT id, plan, plan_version, cycle, currency, status, started_at, trial_ends_at, anchor, period_index,
            period_start, period_end, next_plan, next_cycle, cancels, overage_allowed,
            spending_cap_minor, trial_end_noticed, on_test_clock, standing, version,
            (SELECT provider FROM payment_methods WHERE tenant_id = $1 AND is_default) AS pays_by
        FROM subscriptions
        WHERE tenant_id = $1 AND status <> 'Canceled'",
        tx.tenant_id() as _
    )
    .fetch_one(tx.connection())
    .await?;
    let plan = |text: &str| text.parse().map_err(|_| Error::Foreign("subscriptions.plan"));
    let cycle = |text: &str| text.parse().map_err(|_| Error::Foreign("subscriptions.cycle"));
    let scheduled = match (&row.next_plan, &row.next_cycle) {
        _ if row.cancels => Some(Scheduled::Cancel),
        (Some(next_plan), Some(next_cycle)) => {
            Some(Scheduled::Change(plan(next_plan)?, cycle(next_cycle)?))
        }
        _ => None,
    };
    let status = match (row.status.as_str(), row.trial_ends_at) {
        ("Trialing", Some(ends_at)) => SubscriptionStatus::Trialing { ends_at: ends_at.to_jiff() },
        ("Active", _) => SubscriptionStatus::Active,
        _ => return Err(Error::Foreign("subscriptions.status")),
    };
    let state = Subscription {
        id: row.id,
        plan: plan(&row.plan)?,
        plan_version: row.plan_version,
        cycle: cycle(&row.cycle)?,
        currency: row.currency.parse().map_err(|_| Error::Foreign("subscriptions.currency"))?,
        status,
        started_at: row.started_at.to_jiff(),
        anchor: row.anchor.to_jiff(),
        period_index: row.period_index.unsigned_abs(),
        period: Period { start: row.period_start.to_jiff(), end: row.period_end.to_jiff() },
        scheduled,
    };
    Ok(Running {
        state,
        standing: row.standing.parse().map_err(|_| Error::Foreign("subscriptions.standing"))?,
        pays_by: row.pays_by.as_deref().map(provider).transpose()?,
        overage_allowed: row.overage_allowed,
        spending_cap_minor: row.spending_cap_minor,
        trial_end_noticed: row.trial_end_noticed,
        on_test_clock: row.on_test_clock,
        version: row.version,
    })
}

/// As [`get`], and nobody else changes it until the transaction ends.
///
/// # Errors
/// `NotFound` when it was canceled.
pub async fn get_for_update(tx: &mut TenantTx) -> Result<Running, Error> {
    sqlx::query!(
        "SELECT id FROM subscriptions WHERE tenant_id = $1 AND status <> 'Canceled' FOR UPDATE",
        tx.tenant_id() as _
    )
    .fetch_optional(tx.connection())
    .await?;
    get(tx).await
}

/// Stores what a turn made of a subscription that [`get_for_update`] holds. It is billed, so it is not parked.
///
/// # Errors
/// `NotFound` when it is gone.
pub async fn update(tx: &mut TenantTx, subscription: &Subscription) -> Result<(), Error> {
    let status = subscription.status;
    let (next, cancels) = match subscription.scheduled {
        Some(Scheduled::Change(plan, cycle)) => (Some((plan, cycle)), false),
        Some(Scheduled::Cancel) => (None, true),
        None => (None, false),
    };
    let changed = sqlx::query!(
        "UPDATE subscriptions
        SET plan = $3, plan_version = $4, cycle = $5, status = $6, trial_ends_at = $7, anchor = $8,
            period_index = $9, period_start = $10, period_end = $11, next_plan = $12, next_cycle = $13,
            cancels = $14, version = version + 1, parked_at = NULL, parked_reason = NULL
        WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        subscription.id as _,
        subscription.plan.as_str(),
        subscription.plan_version,
        subscription.cycle.as_str(),
        status.as_str(),
        status.trial_ends_at().map(ToSqlx::to_sqlx) as _,
        subscription.anchor.to_sqlx() as _,
        i32::try_from(subscription.period_index).unwrap_or(i32::MAX),
        subscription.period.start.to_sqlx() as _,
        subscription.period.end.to_sqlx() as _,
        next.map(|(plan, _)| plan.as_str()),
        next.map(|(_, cycle)| cycle.as_str()),
        cancels
    )
    .execute(tx.connection())
    .await?;
    if changed.rows_affected() == 1 { Ok(()) } else { Err(Error::NotFound) }
}

/// Stores whether what a subscription owes is paid. Every edge acts by it as soon as the transaction is committed.
///
/// # Errors
/// When the database is gone.
pub async fn set_standing(
    tx: &mut TenantTx,
    id: SubscriptionId,
    standing: Standing,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE subscriptions SET standing = $3, version = version + 1 WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        id as _,
        standing.as_str()
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// What use past the included may cost, and the quotas that follow from it by meter; `None`: no quota.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overage {
    /// Whether it is allowed at all.
    pub allowed: bool,
    /// What it may cost in a period, in minor units.
    pub cap_minor: Option<i64>,
    /// Quotas in place of the plan's.
    pub quotas: std::collections::BTreeMap<String, Option<u64>>,
}

/// Stores what use may cost.
///
/// # Errors
/// When the database is gone.
pub async fn set_overage(
    tx: &mut TenantTx,
    id: SubscriptionId,
    overage: &Overage,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE subscriptions
        SET overage_allowed = $3, spending_cap_minor = $4, quotas = $5, version = version + 1
        WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        id as _,
        overage.allowed,
        overage.cap_minor,
        Json(&overage.quotas) as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Marks that the tenant's subscription cannot be billed. It is shown, and tried again in an hour.
///
/// # Errors
/// When the database is gone.
pub async fn park(tx: &mut TenantTx, reason: &str, now: Timestamp) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE subscriptions SET parked_at = $2, parked_reason = left($3, 1000)
        WHERE tenant_id = $1 AND status <> 'Canceled'",
        tx.tenant_id() as _,
        now.to_sqlx() as _,
        reason
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Marks that the owners were told of the trial's end.
///
/// # Errors
/// When the database is gone.
pub async fn note_trial_end(tx: &mut TenantTx) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE subscriptions SET trial_end_noticed = true WHERE tenant_id = $1 AND status = 'Trialing'",
        tx.tenant_id() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
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

/// Records what became of the recurring revenue: `plans` are those before and after.
///
/// # Errors
/// When the database is gone.
pub async fn insert_movement(
    tx: &mut TenantTx,
    subscription: &Subscription,
    movement: Movement,
    plans: (PlanName, PlanName),
    at: Timestamp,
) -> Result<(), Error> {
    let returning = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM revenue_movements WHERE tenant_id = $1) AS "returning!""#,
        tx.tenant_id() as _
    )
    .fetch_one(tx.connection())
    .await?;
    sqlx::query!(
        "INSERT INTO revenue_movements (tenant_id, subscription_id, at, kind, currency, from_plan, to_plan,
            from_minor, to_minor)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        tx.tenant_id() as _,
        subscription.id as _,
        at.to_sqlx() as _,
        movement.kind(returning).as_str(),
        subscription.currency.as_str(),
        plans.0.as_str(),
        plans.1.as_str(),
        movement.from_minor,
        movement.to_minor
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// One word for where a subscription is in its life and for whether it is paid; what is wrong goes first.
#[must_use]
pub const fn shown_status(status: SubscriptionStatus, standing: Standing) -> &'static str {
    match standing {
        Standing::Good => status.as_str(),
        Standing::PastDue => "PastDue",
        Standing::ReadOnly | Standing::BillingOnly => "Suspended",
    }
}

/// What webhooks say of a subscription.
#[must_use]
pub fn told(subscription: &Subscription, standing: Standing) -> SubscriptionData {
    let status = subscription.status;
    SubscriptionData {
        subscription_id: subscription.id.to_string(),
        plan: subscription.plan.to_string(),
        cycle: subscription.cycle.to_string(),
        status: shown_status(status, standing).to_owned(),
        period_end: subscription.period.end.to_string(),
        trial_ends_at: status.trial_ends_at().map(|at| at.to_string()),
        next_plan: subscription.scheduled.map(|scheduled| scheduled.target().0.to_string()),
    }
}
