//! Adding jobs in the transaction of their cause: all are committed, or nothing.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::types::Json;
use store::{Error, Tx};

use crate::catalog::Job;
use crate::envelope::Envelope;

/// Jobs added by one statement; more are added by several.
const BATCH_MAX: usize = 1_000;

/// How a job is added. `Options::default()`: at once, with everybody else, however often it is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A second job of the queue with this key is not added.
    pub idempotency_key: Option<String>,
    /// Not before.
    pub run_at: Option<Timestamp>,
    /// Higher first.
    pub priority: u8,
    /// W3C trace context of the cause.
    pub traceparent: Option<String>,
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
    options: Options,
) -> Result<Enqueued, Error> {
    let added = enqueue_batch(tx, &[(job, options)]).await?;
    Ok(if added == 1 { Enqueued::New } else { Enqueued::Duplicate })
}

/// Adds many jobs of one queue, in a statement for each thousand. How many are new.
///
/// # Errors
/// As [`enqueue`].
pub async fn enqueue_all<J: Job>(tx: &mut impl Tx, jobs: &[(&J, Options)]) -> Result<u64, Error> {
    let mut added = 0;
    for batch in jobs.chunks(BATCH_MAX) {
        added += enqueue_batch(tx, batch).await?;
    }
    Ok(added)
}

async fn enqueue_batch<J: Job>(tx: &mut impl Tx, jobs: &[(&J, Options)]) -> Result<u64, Error> {
    let options = || jobs.iter().map(|(_, options)| options);
    let payloads: Vec<_> = jobs.iter().map(|(job, _)| Json(Envelope::around(*job))).collect();
    let run_ats: Vec<_> = options().map(|job| job.run_at.map(ToSqlx::to_sqlx)).collect();
    let priorities: Vec<_> = options().map(|job| i32::from(job.priority)).collect();
    let keys: Vec<_> = options().map(|job| job.idempotency_key.as_deref()).collect();
    let traceparents: Vec<_> = options().map(|job| job.traceparent.as_deref()).collect();
    let added = sqlx::query_scalar!(
        r#"SELECT apalis.enqueue_all($1, $2, $3, $4, $5, $6, $7) AS "added!""#,
        J::QUEUE,
        payloads as _,
        i32::from(J::ATTEMPTS_MAX),
        run_ats as _,
        &priorities,
        keys as _,
        traceparents as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(u64::from(added.unsigned_abs()))
}
