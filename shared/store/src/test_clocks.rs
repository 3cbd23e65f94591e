//! `test_clocks`: tenants that live on a time of their own, so that years of billing can be tried in a minute.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::tenant_tx::{TenantTx, Tx};

/// A tenant's own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestClock {
    /// What it is.
    pub now: Timestamp,
    /// To where it is being advanced; the same where it is at rest.
    pub target: Timestamp,
}

/// Gives a tenant that is being created a time of its own.
///
/// # Errors
/// When the database is gone.
pub async fn insert(tx: &mut TenantTx, now: Timestamp) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO test_clocks (tenant_id, now_at, target_at, created_at) VALUES ($1, $2, $2, now())",
        tx.tenant_id() as _,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The tenant's time; `None`: it lives on everybody's.
///
/// # Errors
/// When the database is gone.
pub async fn get(tx: &mut TenantTx) -> Result<Option<TestClock>, Error> {
    let row = sqlx::query!(
        "SELECT now_at, target_at FROM test_clocks WHERE tenant_id = $1",
        tx.tenant_id() as _
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(row.map(|row| TestClock { now: row.now_at.to_jiff(), target: row.target_at.to_jiff() }))
}

/// Sets where the clock is to go.
///
/// # Errors
/// `Stale` when that lies behind where it goes already; `NotFound` when the tenant has none.
pub async fn aim(tx: &mut TenantTx, target: Timestamp) -> Result<TestClock, Error> {
    let clock = get(tx).await?.ok_or(Error::NotFound)?;
    let aimed = sqlx::query!(
        "UPDATE test_clocks SET target_at = $2 WHERE tenant_id = $1 AND target_at <= $2",
        tx.tenant_id() as _,
        target.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    if aimed.rows_affected() == 1 { Ok(TestClock { target, ..clock }) } else { Err(Error::Stale) }
}

/// Sets what time it is, on the way.
///
/// # Errors
/// When the database is gone.
pub async fn set(tx: &mut TenantTx, now: Timestamp) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE test_clocks SET now_at = greatest(now_at, least($2, target_at)) WHERE tenant_id = $1",
        tx.tenant_id() as _,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
