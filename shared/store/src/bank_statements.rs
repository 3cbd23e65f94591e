//! `bank_statements`: which were imported, so that one that is missing is noticed.

use domain::bank::Statement;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::tenant_tx::{ControlTx, Tx};

/// What is known of a statement when it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// It was imported before.
    pub before: bool,
    /// The number of the one before it, which was not imported.
    pub missing: Option<u32>,
}

/// Keeps that a statement was imported.
///
/// # Errors
/// When the database is gone.
pub async fn keep(
    tx: &mut ControlTx,
    statement: &Statement,
    now: Timestamp,
) -> Result<Arrival, Error> {
    let kept = sqlx::query!(
        "INSERT INTO bank_statements (iban, id, sequence, closing_on, imported_at)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (iban, id) DO NOTHING",
        statement.iban,
        statement.id,
        statement.sequence.map(i64::from),
        statement.closing_on.map(|day| day.to_sqlx()) as _,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    let missing = match statement.sequence {
        Some(sequence) => missing_before(tx, statement, sequence).await?,
        None => None,
    };
    Ok(Arrival { before: kept.rows_affected() == 0, missing })
}

/// Banks count within a year, or for good; so the first of a row misses none, and one of a year ago is not the one before.
async fn missing_before(
    tx: &mut ControlTx,
    statement: &Statement,
    sequence: u32,
) -> Result<Option<u32>, Error> {
    let Some(before) = sequence.checked_sub(1).filter(|before| *before > 0) else {
        return Ok(None);
    };
    let missing = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM bank_statements WHERE iban = $1 AND id <> $2 AND sequence IS NOT NULL)
            AND NOT EXISTS (
                SELECT FROM bank_statements
                WHERE iban = $1 AND sequence = $3
                    AND ($4::date IS NULL OR closing_on IS NULL OR closing_on > $4::date - 300)
            ) AS "missing!""#,
        statement.iban,
        statement.id,
        i64::from(before),
        statement.closing_on.map(|day| day.to_sqlx()) as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(missing.then_some(before))
}
