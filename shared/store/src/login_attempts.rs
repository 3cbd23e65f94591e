//! `login_attempts`: failed sign-ins, for a delay that grows and passes. Never a lock-out for good.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::tenant_tx::{ControlTx, Tx};

/// What is known of a subject: an account or an address, as a keyed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginAttempts {
    /// Failures in a row.
    pub failures: u32,
    /// The last one.
    pub last_failure_at: Timestamp,
}

/// The failures of `subject`, if any.
///
/// # Errors
/// When the database is gone.
pub async fn find(tx: &mut ControlTx, subject: &[u8; 32]) -> Result<Option<LoginAttempts>, Error> {
    let row = sqlx::query!(
        "SELECT failures, last_failure_at FROM login_attempts WHERE subject = $1",
        subject.as_slice()
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(row.map(|row| LoginAttempts {
        failures: row.failures.unsigned_abs(),
        last_failure_at: row.last_failure_at.to_jiff(),
    }))
}

/// Counts a failure; after a quiet day the count starts anew.
///
/// # Errors
/// When the database is gone.
pub async fn record_failure(
    tx: &mut ControlTx,
    subject: &[u8; 32],
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO login_attempts (subject, failures, last_failure_at)
        VALUES ($1, 1, $2)
        ON CONFLICT (subject) DO UPDATE
        SET failures = CASE
                WHEN login_attempts.last_failure_at < $2 - interval '1 day' THEN 1
                ELSE least(login_attempts.failures + 1, 1000)
            END,
            last_failure_at = $2",
        subject.as_slice(),
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Forgets the failures of `subject`.
///
/// # Errors
/// When the database is gone.
pub async fn clear(tx: &mut ControlTx, subject: &[u8; 32]) -> Result<(), Error> {
    sqlx::query!("DELETE FROM login_attempts WHERE subject = $1", subject.as_slice())
        .execute(tx.connection())
        .await?;
    Ok(())
}
