//! Adding a job in the transaction of its cause: both are committed, or neither.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::types::Json;
use store::{Error, Tx};

use crate::catalog::Job;
use crate::envelope::Envelope;

/// How a job is added. `Options::default()`: at once, with everybody else, however often it is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// A second job of the queue with this key is not added.
    pub idempotency_key: Option<&'a str>,
    /// Not before.
    pub run_at: Option<Timestamp>,
    /// Higher first.
    pub priority: u8,
    /// W3C trace context of the cause.
    pub traceparent: Option<&'a str>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// Added.
    New,
    /// One with this key is, or was, there already.
    Duplicate,
}

/// Adds `job`. The transaction's tenant is noted beside it.
///
/// # Errors
/// When the database is gone. Nothing of the transaction may then be committed.
pub async fn enqueue<J: Job>(
    tx: &mut impl Tx,
    job: &J,
    options: Options<'_>,
) -> Result<Enqueued, Error> {
    let new = sqlx::query_scalar!(
        r#"SELECT apalis.enqueue($1, $2, $3, $4, $5, $6, $7) AS "new!""#,
        J::QUEUE,
        Json(Envelope::around(job)) as _,
        i32::from(J::ATTEMPTS_MAX),
        options.run_at.map(|at| at.to_sqlx()) as _,
        i32::from(options.priority),
        options.idempotency_key,
        options.traceparent
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(if new { Enqueued::New } else { Enqueued::Duplicate })
}
