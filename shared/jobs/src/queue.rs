//! The statements of the workers that the runtime library lacks: staying alive, asking for a later attempt,
//! handing back at a stop, taking over from the dead, forgetting what ended, and looking at the depth. `now` is the
//! database's.

use std::time::Duration;

use domain::id::JobId;
use sqlx::PgPool;
use sqlx::postgres::types::PgInterval;
use store::Error;

use crate::repair::ulid;

/// Rows forgotten in one statement.
const FORGET_BATCH: i64 = 2_000;
/// Rows of vanished workers are kept this long; their jobs were recovered long before.
const VANISHED_KEPT: Duration = Duration::from_mins(10);

/// How long jobs are kept that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Those that are done: their keys keep duplicates out.
    pub done: Duration,
    /// Dead letters, for people to look at.
    pub dead: Duration,
}

/// How a queue stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Depth {
    /// The queue.
    pub queue: String,
    /// Jobs that could run now.
    pub due: i64,
    /// Jobs that wait for their time.
    pub later: i64,
    /// Jobs that a worker holds.
    pub held: i64,
    /// Dead letters: they kept failing.
    pub dead: i64,
    /// Dead letters: given up, with a reason.
    pub discarded: i64,
    /// How long the oldest due job has waited.
    pub oldest_seconds: f64,
}

/// Tells that these workers live. How many of them are registered.
///
/// # Errors
/// When the database is gone.
pub async fn keep_alive(pool: &PgPool, workers: &[String]) -> Result<u64, Error> {
    let alive =
        sqlx::query!("UPDATE apalis.workers SET last_seen = now() WHERE id = ANY($1)", workers)
            .execute(pool)
            .await?;
    Ok(alive.rows_affected())
}

/// How many of these workers are registered and were seen within `window`.
///
/// # Errors
/// When the database is gone.
pub async fn count_alive(
    pool: &PgPool,
    workers: &[String],
    window: Duration,
) -> Result<u64, Error> {
    let alive = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM apalis.workers
        WHERE id = ANY($1) AND last_seen > now() - $2::interval"#,
        workers,
        interval(window)
    )
    .fetch_one(pool)
    .await?;
    Ok(alive.unsigned_abs())
}

/// A job that runs asks not to be tried again before `pause` is over; it must then end as failed.
///
/// # Errors
/// When the database is gone.
pub async fn postpone(pool: &PgPool, id: JobId, pause: Duration) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE apalis.jobs SET run_at = now() + $2::interval
        WHERE id = $1 AND status IN ('Queued', 'Running')",
        ulid(id),
        interval(pause)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Hands back what a stopping worker still holds, without counting an attempt, and forgets the worker.
///
/// # Errors
/// When the database is gone; then the jobs are recovered when the worker is noticed to be silent.
pub async fn hand_back(pool: &PgPool, worker: &str) -> Result<u64, Error> {
    let returned = sqlx::query!(
        "UPDATE apalis.jobs SET status = 'Pending', lock_at = NULL
        WHERE lock_by = $1 AND status IN ('Queued', 'Running')",
        worker
    )
    .execute(pool)
    .await?;
    sqlx::query!("DELETE FROM apalis.workers WHERE id = $1", worker).execute(pool).await?;
    Ok(returned.rows_affected())
}

/// Takes over what workers of `queues` hold that were not seen for `silence`: an attempt is counted, and its pause
/// stored, by the trigger that sees the job let go. How many jobs.
///
/// # Errors
/// When the database is gone.
pub async fn take_over(pool: &PgPool, queues: &[String], silence: Duration) -> Result<u64, Error> {
    let taken = sqlx::query!(
        r#"UPDATE apalis.jobs
        SET status = 'Pending', attempts = attempts + 1, lock_at = NULL,
            last_result = '{"Err": "its worker was not heard of any more"}'
        WHERE id IN (
            SELECT jobs.id
            FROM apalis.workers
            JOIN apalis.jobs ON jobs.lock_by = workers.id
            WHERE workers.worker_type = ANY ($1) AND workers.last_seen < now() - $2::interval
                AND jobs.status IN ('Queued', 'Running')
            FOR UPDATE OF jobs SKIP LOCKED
        )"#,
        queues,
        interval(silence)
    )
    .execute(pool)
    .await?;
    Ok(taken.rows_affected())
}

/// Forgets a batch of jobs of `queue` that ended long ago. Whether there may be more.
///
/// # Errors
/// When the database is gone.
pub async fn forget(pool: &PgPool, queue: &str, kept: Retention) -> Result<bool, Error> {
    let forgotten = sqlx::query!(
        "DELETE FROM apalis.jobs WHERE id IN (
            SELECT id FROM apalis.jobs
            WHERE job_type = $1
                AND (
                    (status = 'Done' AND done_at < now() - $2::interval)
                    OR (status = 'Killed' AND done_at < now() - $3::interval)
                    OR (status = 'Failed' AND attempts >= max_attempts AND done_at < now() - $3::interval)
                )
            LIMIT $4
            FOR UPDATE SKIP LOCKED
        )",
        queue,
        interval(kept.done),
        interval(kept.dead),
        FORGET_BATCH
    )
    .execute(pool)
    .await?;
    Ok(forgotten.rows_affected() == FORGET_BATCH.unsigned_abs())
}

/// Forgets workers that vanished; what they held was taken over long before.
///
/// # Errors
/// When the database is gone.
pub async fn forget_workers(pool: &PgPool) -> Result<u64, Error> {
    let forgotten = sqlx::query!(
        "DELETE FROM apalis.workers
        WHERE last_seen < now() - $1::interval
            AND NOT EXISTS (SELECT FROM apalis.jobs WHERE jobs.lock_by = workers.id)",
        interval(VANISHED_KEPT)
    )
    .execute(pool)
    .await?;
    Ok(forgotten.rows_affected())
}

/// How `queues` stand; an empty one too.
///
/// # Errors
/// When the database is gone.
pub async fn depths(pool: &PgPool, queues: &[String]) -> Result<Vec<Depth>, Error> {
    // Each count is of one partial index.
    let depths = sqlx::query_as!(
        Depth,
        r#"SELECT
            queue AS "queue!",
            (SELECT count(*) FROM apalis.jobs WHERE job_type = queue
                AND due AND (status = 'Pending' OR (status = 'Failed' AND attempts < max_attempts)))
            + (SELECT count(*) FROM apalis.jobs WHERE job_type = queue AND run_at <= now()
                AND NOT due AND (status = 'Pending' OR (status = 'Failed' AND attempts < max_attempts)))
                AS "due!",
            (SELECT count(*) FROM apalis.jobs WHERE job_type = queue AND run_at > now()
                AND NOT due AND (status = 'Pending' OR (status = 'Failed' AND attempts < max_attempts)))
                AS "later!",
            (SELECT count(*) FROM apalis.jobs WHERE job_type = queue AND lock_by IS NOT NULL) AS "held!",
            (SELECT count(*) FROM apalis.jobs WHERE job_type = queue
                AND status = 'Failed' AND attempts >= max_attempts) AS "dead!",
            (SELECT count(*) FROM apalis.jobs WHERE job_type = queue AND status = 'Killed') AS "discarded!",
            greatest(0, extract(epoch FROM now() - least(
                (SELECT min(run_at) FROM apalis.jobs WHERE job_type = queue
                    AND due AND (status = 'Pending' OR (status = 'Failed' AND attempts < max_attempts))),
                (SELECT min(run_at) FROM apalis.jobs WHERE job_type = queue AND run_at <= now()
                    AND NOT due AND (status = 'Pending' OR (status = 'Failed' AND attempts < max_attempts)))
            )))::double precision AS "oldest_seconds!"
        FROM unnest($1::text[]) AS queue"#,
        queues
    )
    .fetch_all(pool)
    .await?;
    Ok(depths)
}

fn interval(duration: Duration) -> PgInterval {
    let microseconds = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    PgInterval { months: 0, days: 0, microseconds }
}
