//! `idempotency_keys`: answers that were already given, sealed under a key that only the header yields.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::tenant_tx::Tx;

/// An answer that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Hash of the request's body.
    pub request_hash: Vec<u8>,
    /// HTTP status.
    pub status: u16,
    /// The body, sealed.
    pub answer_sealed: Vec<u8>,
}

/// Waits until no other transaction works on `scope`, and holds it until this one ends.
///
/// # Errors
/// When the database is gone, or the other takes longer than the lock timeout.
pub async fn lock(tx: &mut impl Tx, scope: &[u8; 32]) -> Result<(), Error> {
    let [a, b, c, d, e, f, g, h, ..] = *scope;
    let number = i64::from_le_bytes([a, b, c, d, e, f, g, h]);
    sqlx::query!("SELECT pg_advisory_xact_lock($1) AS \"locked: ()\"", number)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// The answer given under `scope` within the last day, if one was.
///
/// # Errors
/// When the database is gone.
pub async fn find(
    tx: &mut impl Tx,
    scope: &[u8; 32],
    now: Timestamp,
) -> Result<Option<StoredAnswer>, Error> {
    let row = sqlx::query!(
        "SELECT request_hash, status, answer_sealed FROM idempotency_keys
        WHERE scope = $1 AND created_at > $2::timestamptz - interval '1 day'",
        scope.as_slice(),
        now.to_sqlx() as _
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(row.map(|row| StoredAnswer {
        request_hash: row.request_hash,
        status: row.status.unsigned_abs(),
        answer_sealed: row.answer_sealed,
    }))
}

/// Stores the answer, in the transaction of its effect.
///
/// # Errors
/// When the database is gone.
pub async fn insert(
    tx: &mut impl Tx,
    scope: &[u8; 32],
    answer: &StoredAnswer,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO idempotency_keys (scope, request_hash, status, answer_sealed, created_at)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (scope) DO UPDATE
        SET request_hash = $2, status = $3, answer_sealed = $4, created_at = $5",
        scope.as_slice(),
        answer.request_hash,
        i16::try_from(answer.status).unwrap_or(i16::MAX),
        answer.answer_sealed,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
