//! The steps of the roll-up, for the workers: each one call of a function of the database, which may do what no
//! program's role may (migrations 0012 and 0013).

use std::time::Duration;

use domain::id::TenantId;
use domain::meter::MeterName;
use domain::period::Period;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::postgres::types::PgInterval;

use crate::Store;
use crate::error::Error;

/// What was added to the hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folded {
    /// Batches.
    pub batches: u64,
    /// Counts in them.
    pub rows: u64,
}

/// A quota of a running period, and what was counted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaUsed {
    /// Whose.
    pub tenant_id: TenantId,
    /// Of what.
    pub meter: MeterName,
    /// Of which period.
    pub period: Period,
    /// What the plan allows.
    pub permits: u64,
    /// What was counted.
    pub used: u64,
}

/// What was computed anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Days; zero: nothing was left to do.
    pub days: u64,
    /// Quotas whose count may have changed.
    pub quotas: Vec<QuotaUsed>,
}

/// How long what is kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Batches as they came.
    pub batches: Duration,
    /// Hours.
    pub hours: Duration,
    /// Days.
    pub days: Duration,
}

/// Adds up to `batches_max` batches that wait to the hours, each once.
///
/// # Errors
/// When the database is gone; then all of them wait still.
pub async fn fold(store: &Store, batches_max: u16) -> Result<Folded, Error> {
    let row = sqlx::query!(
        r#"SELECT batches AS "batches!", rows AS "rows!" FROM fold_usage($1)"#,
        i32::from(batches_max)
    )
    .fetch_one(store.pool())
    .await?;
    Ok(Folded { batches: row.batches.unsigned_abs(), rows: row.rows.unsigned_abs() })
}

/// Computes up to `days_max` days anew whose hours have changed, and their periods.
///
/// # Errors
/// When the database is gone; then they are still to be computed.
pub async fn settle(store: &Store, days_max: u32) -> Result<Settled, Error> {
    let rows = sqlx::query!(
        r#"SELECT days, tenant_id AS "tenant_id: TenantId", meter, period_start, period_end, permits, used
        FROM settle_usage($1)"#,
        i32::try_from(days_max).unwrap_or(i32::MAX)
    )
    .fetch_all(store.pool())
    .await?;
    let mut settled = Settled { days: 0, quotas: Vec::new() };
    for row in rows {
        settled.days += row.days.unwrap_or(0).unsigned_abs();
        let (Some(tenant_id), Some(meter)) = (row.tenant_id, row.meter) else { continue };
        let (Some(start), Some(end)) = (row.period_start, row.period_end) else { continue };
        settled.quotas.push(QuotaUsed {
            tenant_id,
            meter: meter.parse().map_err(|_| Error::Foreign("usage_periods.meter"))?,
            period: Period { start: start.to_jiff(), end: end.to_jiff() },
            permits: row.permits.unwrap_or(0).unsigned_abs(),
            used: row.used.unwrap_or(0).unsigned_abs(),
        });
    }
    Ok(settled)
}

/// Every quota of a running period of which something was counted.
///
/// # Errors
/// When the database is gone.
pub async fn quotas(store: &Store) -> Result<Vec<QuotaUsed>, Error> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!: TenantId", meter AS "meter!", period_start AS "period_start!",
            period_end AS "period_end!", permits AS "permits!", used AS "used!"
        FROM usage_quotas()"#
    )
    .fetch_all(store.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(QuotaUsed {
                tenant_id: row.tenant_id,
                meter: row.meter.parse().map_err(|_| Error::Foreign("usage_periods.meter"))?,
                period: Period { start: row.period_start.to_jiff(), end: row.period_end.to_jiff() },
                permits: row.permits.unsigned_abs(),
                used: row.used.unsigned_abs(),
            })
        })
        .collect()
}

/// A sum that differs from what it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discrepancy {
    /// `spool`, `hours`, `days` or `periods`.
    pub stage: String,
    /// Edge and boot, or tenant and meter.
    pub subject: String,
    /// Batch, hour, day or period.
    pub bucket: String,
    /// What it should be; `None`: it should not be there.
    pub expected: Option<String>,
    /// What it is; `None`: it is not there.
    pub found: Option<String>,
}

/// Compares every stage with what it was made of, for what was counted since `since`. What differs is listed in
/// `usage_discrepancies` as well.
///
/// # Errors
/// When the database is gone.
pub async fn check(store: &Store, since: Timestamp) -> Result<Vec<Discrepancy>, Error> {
    let mut tx = store.pool().begin().await?;
    // It reads two days of everybody's usage, and holds up nobody.
    sqlx::query!("SET LOCAL statement_timeout = '280s'").execute(&mut *tx).await?;
    let found = sqlx::query_as!(
        Discrepancy,
        r#"SELECT stage AS "stage!", subject AS "subject!", bucket AS "bucket!", expected::text, found::text
        FROM check_usage($1)"#,
        since.to_sqlx() as _
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(found)
}

/// Makes the partitions of the coming days and months, and drops what is older than said. How many rows were
/// deleted one by one: while it is not zero, more may be left.
///
/// # Errors
/// When the database is gone, or somebody holds a table for long.
pub async fn keep_up(store: &Store, kept: Retention) -> Result<u64, Error> {
    let deleted = sqlx::query_scalar!(
        r#"SELECT keep_up_usage($1, $2, $3) AS "deleted!""#,
        days(kept.batches),
        days(kept.hours),
        days(kept.days)
    )
    .fetch_one(store.pool())
    .await?;
    Ok(deleted.unsigned_abs())
}

fn days(duration: Duration) -> PgInterval {
    let days = i32::try_from(duration.as_secs() / 86_400).unwrap_or(i32::MAX);
    PgInterval { months: 0, days, microseconds: 0 }
}
