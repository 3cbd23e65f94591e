//! What operators are told of revenue: the functions of `0020_revenue.sql`, which see every tenant and name none.
//!
//! A report asks several of them; [`freeze`] first, so that all of them speak of one state of the books.

use billing::MovementKind;
use domain::money::Currency;
use domain::plan::PlanName;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::tenant_tx::{ControlTx, Tx};

/// The movements of one kind on one day, of one plan and currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Which of the days that were asked for, from 0.
    pub day: usize,
    /// What they are.
    pub kind: MovementKind,
    /// In which currency.
    pub currency: Currency,
    /// The plan after; of churn, before.
    pub plan: PlanName,
    /// How many.
    pub movements: u64,
    /// What they add a month, minor units; negative for what takes.
    pub delta_minor: i64,
}

/// What recurs a month, of one plan and currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recurring {
    /// In which currency.
    pub currency: Currency,
    /// Of which plan.
    pub plan: PlanName,
    /// How many tenants pay it.
    pub tenants: u64,
    /// How much it is, minor units.
    pub mrr_minor: i64,
}

/// What became of those who paid for a plan at the beginning of a range, whatever they pay for at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// In which currency.
    pub currency: Currency,
    /// Of which plan they were.
    pub plan: PlanName,
    /// How many they were.
    pub tenants: u64,
    /// What they brought in a month, minor units.
    pub start_minor: i64,
    /// What they bring in at the end.
    pub end_minor: i64,
    /// What those who bring in less bring in less.
    pub lost_minor: i64,
    /// How many bring in nothing any more.
    pub lost_tenants: u64,
}

/// What was billed and collected for a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Booked {
    /// In which currency.
    pub currency: Currency,
    /// For which plan; `None`: lines that an operator wrote, and money beyond what was due.
    pub plan: Option<PlanName>,
    /// Billed, without tax; minor units.
    pub billed_minor: i64,
    /// Taken back of what was billed, without tax.
    pub credited_minor: i64,
    /// Money that came in, with tax.
    pub collected_minor: i64,
}

/// How trials of a plan went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trials {
    /// In which currency they would be billed.
    pub currency: Currency,
    /// The plan on trial.
    pub plan: PlanName,
    /// Trials that began.
    pub started: u64,
    /// Trials that became a subscription that costs.
    pub converted: u64,
    /// Trials that ended without one.
    pub ended: u64,
}

/// How long an amount has been due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Age {
    /// It is not due yet, or is on the very day.
    NotDue,
    /// 1 to 30 days.
    Days1To30,
    /// 31 to 60 days.
    Days31To60,
    /// 61 to 90 days.
    Days61To90,
    /// More.
    Over90,
}

impl Age {
    /// Every age, youngest first: the order of the buckets of `receivables`.
    pub const ALL: [Self; 5] =
        [Self::NotDue, Self::Days1To30, Self::Days31To60, Self::Days61To90, Self::Over90];
}

/// What is owed in one currency and has been due for as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receivable {
    /// In which currency.
    pub currency: Currency,
    /// For how long it has been due.
    pub age: Age,
    /// On how many invoices.
    pub invoices: u64,
    /// How much, with tax; minor units.
    pub due_minor: i64,
}

/// All that `tx` reads from here on is of one instant. To be called before anything else is read.
///
/// # Errors
/// When something was read before, or the database is gone.
pub async fn freeze(tx: &mut ControlTx) -> Result<(), Error> {
    sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Movements by day, kind, currency and plan. `bounds`: where each day begins, and where the last one ends.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn by_day(tx: &mut ControlTx, bounds: &[Timestamp]) -> Result<Vec<Moved>, Error> {
    let bounds: Vec<_> = bounds.iter().map(|at| at.to_sqlx()).collect();
    let rows = sqlx::query!(
        r#"SELECT day AS "day!", kind AS "kind!", currency AS "currency!", plan AS "plan!",
            movements AS "movements!", delta_minor AS "delta_minor!"
        FROM revenue_by_day($1)"#,
        &bounds as _
    )
    .fetch_all(tx.connection())
    .await?;
    let moved = rows.into_iter().map(|row| {
        let kind = MovementKind::ALL.into_iter().find(|kind| kind.as_str() == row.kind);
        Ok(Moved {
            // Days are counted from 1 there.
            day: usize::try_from(row.day - 1).map_err(|_| Error::Foreign("revenue_by_day.day"))?,
            kind: kind.ok_or(Error::Foreign("revenue_movements.kind"))?,
            currency: currency(&row.currency)?,
            plan: plan(&row.plan)?,
            movements: row.movements.unsigned_abs(),
            delta_minor: row.delta_minor,
        })
    });
    moved.collect()
}

/// What recurred just before an instant, by currency and plan.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn recurring(tx: &mut ControlTx, before: Timestamp) -> Result<Vec<Recurring>, Error> {
    let rows = sqlx::query!(
        r#"SELECT currency AS "currency!", plan AS "plan!", tenants AS "tenants!", mrr_minor AS "mrr_minor!"
        FROM recurring_revenue($1)"#,
        before.to_sqlx() as _
    )
    .fetch_all(tx.connection())
    .await?;
    let recurring = rows.into_iter().map(|row| {
        Ok(Recurring {
            currency: currency(&row.currency)?,
            plan: plan(&row.plan)?,
            tenants: row.tenants.unsigned_abs(),
            mrr_minor: row.mrr_minor,
        })
    });
    recurring.collect()
}

/// What at `until` has become of those who paid at `since`, by currency and the plan that they had.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn kept(
    tx: &mut ControlTx,
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<Kept>, Error> {
    let rows = sqlx::query!(
        r#"SELECT currency AS "currency!", plan AS "plan!", tenants AS "tenants!", start_minor AS "start_minor!",
            end_minor AS "end_minor!", lost_minor AS "lost_minor!", lost_tenants AS "lost_tenants!"
        FROM revenue_kept($1, $2)"#,
        since.to_sqlx() as _,
        until.to_sqlx() as _
    )
    .fetch_all(tx.connection())
    .await?;
    let kept = rows.into_iter().map(|row| {
        Ok(Kept {
            currency: currency(&row.currency)?,
            plan: plan(&row.plan)?,
            tenants: row.tenants.unsigned_abs(),
            start_minor: row.start_minor,
            end_minor: row.end_minor,
            lost_minor: row.lost_minor,
            lost_tenants: row.lost_tenants.unsigned_abs(),
        })
    });
    kept.collect()
}

/// What was billed, taken back and collected, by currency and plan.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn booked(
    tx: &mut ControlTx,
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<Booked>, Error> {
    let rows = sqlx::query!(
        r#"SELECT currency AS "currency!", plan, billed_minor AS "billed_minor!",
            credited_minor AS "credited_minor!", collected_minor AS "collected_minor!"
        FROM revenue_by_plan($1, $2)"#,
        since.to_sqlx() as _,
        until.to_sqlx() as _
    )
    .fetch_all(tx.connection())
    .await?;
    let booked = rows.into_iter().map(|row| {
        Ok(Booked {
            currency: currency(&row.currency)?,
            plan: row.plan.as_deref().map(plan).transpose()?,
            billed_minor: row.billed_minor,
            credited_minor: row.credited_minor,
            collected_minor: row.collected_minor,
        })
    });
    booked.collect()
}

/// How trials went, by currency and the plan on trial.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn trials(
    tx: &mut ControlTx,
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<Trials>, Error> {
    let rows = sqlx::query!(
        r#"SELECT currency AS "currency!", plan AS "plan!", started AS "started!", converted AS "converted!",
            ended AS "ended!"
        FROM trials($1, $2)"#,
        since.to_sqlx() as _,
        until.to_sqlx() as _
    )
    .fetch_all(tx.connection())
    .await?;
    let trials = rows.into_iter().map(|row| {
        Ok(Trials {
            currency: currency(&row.currency)?,
            plan: plan(&row.plan)?,
            started: row.started.unsigned_abs(),
            converted: row.converted.unsigned_abs(),
            ended: row.ended.unsigned_abs(),
        })
    });
    trials.collect()
}

/// What was owed at the end of a day, which is `before`, by currency and for how long it had been due.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn receivables(
    tx: &mut ControlTx,
    before: Timestamp,
    on: Date,
) -> Result<Vec<Receivable>, Error> {
    let rows = sqlx::query!(
        r#"SELECT currency AS "currency!", bucket AS "bucket!", invoices AS "invoices!", due_minor AS "due_minor!"
        FROM receivables($1, $2)"#,
        before.to_sqlx() as _,
        on.to_sqlx() as _
    )
    .fetch_all(tx.connection())
    .await?;
    let receivables = rows.into_iter().map(|row| {
        let age = usize::try_from(row.bucket).ok().and_then(|bucket| Age::ALL.get(bucket));
        Ok(Receivable {
            currency: currency(&row.currency)?,
            age: *age.ok_or(Error::Foreign("receivables.bucket"))?,
            invoices: row.invoices.unsigned_abs(),
            due_minor: row.due_minor,
        })
    });
    receivables.collect()
}

fn currency(text: &str) -> Result<Currency, Error> {
    text.parse().map_err(|_| Error::Foreign("currency"))
}

fn plan(text: &str) -> Result<PlanName, Error> {
    text.parse().map_err(|_| Error::Foreign("plan"))
}
