//! What operators do to jobs: look at them, try them again, discard them; one, some, or all that a filter means.
//!
//! A job that a worker holds is left alone: it would go on, and its worker's answer would come to nothing.

use std::fmt;
use std::str::FromStr;

use domain::id::{JobId, TenantId};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::types::Json;
use store::operator_events::{self, OperatorEvent};
use store::page::{Page, Rows};
use store::{Error, Store, Tx};
use uuid::Uuid;

use crate::queue_form::redacted;

/// Jobs changed in one transaction: locks are held for a moment only, however many are meant.
const BATCH_MAX: u16 = 500;

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It could run now.
    Due,
    /// It waits for its time.
    Later,
    /// A worker holds it.
    Held,
    /// It kept failing.
    Dead,
    /// It was given up, with a reason.
    Discarded,
    /// It is done.
    Done,
}

/// The text is no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of due, later, held, dead, discarded, done")]
pub struct UnknownState;

impl State {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Due, Self::Later, Self::Held, Self::Dead, Self::Discarded, Self::Done];

    /// The word of `apalis.state_of`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Later => "later",
            Self::Held => "held",
            Self::Dead => "dead",
            Self::Discarded => "discarded",
            Self::Done => "done",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(UnknownState)
    }
}

/// Which jobs are meant. What is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// These.
    pub ids: Option<Vec<JobId>>,
    /// Of this queue.
    pub queue: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// Of this tenant.
    pub tenant_id: Option<TenantId>,
    /// Whose last error holds this text.
    pub error: Option<String>,
}

impl Selection {
    fn ids(&self) -> Option<Vec<String>> {
        self.ids.as_ref().map(|ids| ids.iter().copied().map(ulid).collect())
    }

    fn state(&self) -> Option<&'static str> {
        self.state.map(State::as_str)
    }

    fn tenant(&self) -> Option<Uuid> {
        self.tenant_id.map(|id| id.as_uuid())
    }

    /// Whether it means every job there is.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// As it is recorded when something is done to these jobs.
    fn describe(&self) -> Value {
        json!({
            "ids": self.ids.as_ref().map(|ids| ids.iter().map(JobId::to_string).collect::<Vec<_>>()),
            "queue": self.queue,
            "state": self.state(),
            "tenant_id": self.tenant_id.map(|id| id.to_string()),
            "error": self.error,
        })
    }
}

/// A job, as a list shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Its id.
    pub id: JobId,
    /// Its queue.
    pub queue: String,
    /// Where it is in its life.
    pub state: State,
    /// Whose it is, if it is a tenant's.
    pub tenant_id: Option<TenantId>,
    /// Attempts that ended.
    pub attempts: u32,
    /// Attempts after which it is dead.
    pub attempts_max: u32,
    /// Higher first.
    pub priority: u32,
    /// Not before.
    pub run_at: Timestamp,
    /// When the last attempt ended.
    pub ended_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// All that is known of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Detail {
    /// As the list has it.
    pub summary: Summary,
    /// What may be shown of its payload.
    pub payload: Value,
    /// Its key, if it is to be there once.
    pub idempotency_key: Option<String>,
    /// W3C trace context of its cause.
    pub traceparent: Option<String>,
    /// The worker that holds it.
    pub worker: Option<String>,
    /// The last failures, oldest first.
    pub errors: Vec<Failure>,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Failure {
    /// Which attempt, from 1.
    pub attempt: u32,
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub worker: Option<String>,
    /// Why.
    pub error: Option<String>,
}

struct Row {
    id: String,
    queue: String,
    state: String,
    tenant_id: Uuid,
    attempts: i32,
    attempts_max: i32,
    priority: i32,
    run_at: jiff_sqlx::Timestamp,
    ended_at: Option<jiff_sqlx::Timestamp>,
    error: Option<String>,
}

impl Row {
    fn parse(self) -> Result<Summary, Error> {
        Ok(Summary {
            id: job_id(&self.id)?,
            queue: self.queue,
            state: self.state.parse().map_err(|_| Error::Foreign("apalis.jobs.status"))?,
            tenant_id: Some(self.tenant_id).filter(|id| !id.is_nil()).map(TenantId::from_uuid),
            attempts: self.attempts.unsigned_abs(),
            attempts_max: self.attempts_max.unsigned_abs(),
            priority: self.priority.unsigned_abs(),
            run_at: self.run_at.to_jiff(),
            ended_at: self.ended_at.map(jiff_sqlx::Timestamp::to_jiff),
            error: self.error,
        })
    }
}

/// The runtime's form of an id.
pub(crate) fn ulid(id: JobId) -> String {
    let text = id.to_string();
    text.rsplit('_').next().unwrap_or_default().to_ascii_uppercase()
}

/// From the runtime's form.
///
/// # Errors
/// When it is none.
pub fn job_id(ulid: &str) -> Result<JobId, Error> {
    let text = format!("{}_{}", JobId::PREFIX, ulid.to_ascii_lowercase());
    text.parse().map_err(|_| Error::Foreign("apalis.jobs.id"))
}

/// A page of the jobs that are meant, newest first.
///
/// # Errors
/// When the database is gone, or the page takes it too long.
pub async fn list(
    tx: &mut impl Tx,
    selection: &Selection,
    page: Page,
) -> Result<Rows<Summary>, Error> {
    let after = page.after.map(|after| ulid(JobId::from_uuid(after)));
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT
            id AS "id!", job_type AS "queue!",
            apalis.state_of(status, attempts, max_attempts, run_at) AS "state!",
            tenant_id AS "tenant_id!", attempts AS "attempts!", max_attempts AS "attempts_max!",
            priority AS "priority!", run_at AS "run_at!", done_at AS ended_at, last_result ->> 'Err' AS error
        FROM apalis.matching($1, $2, $3, $4, $5)
        WHERE $6::text IS NULL OR id < $6
        ORDER BY id DESC
        LIMIT $7"#,
        selection.ids() as _,
        selection.queue,
        selection.state(),
        selection.tenant(),
        selection.error,
        after,
        page.limit.probe()
    )
    .fetch_all(tx.connection())
    .await?;
    let rows = rows.into_iter().map(Row::parse).collect::<Result<Vec<_>, _>>()?;
    Ok(Rows::cut(rows, page.limit, |job| job.id.as_uuid()))
}

/// How many jobs are meant.
///
/// # Errors
/// When the database is gone, or counting takes it too long.
pub async fn count(tx: &mut impl Tx, selection: &Selection) -> Result<u64, Error> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM apalis.matching($1, $2, $3, $4, $5)"#,
        selection.ids() as _,
        selection.queue,
        selection.state(),
        selection.tenant(),
        selection.error
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(count.unsigned_abs())
}

/// All that is known of a job.
///
/// # Errors
/// `NotFound` when there is none: it never was, or was forgotten after its time.
pub async fn get(tx: &mut impl Tx, id: JobId) -> Result<Detail, Error> {
    let row = sqlx::query!(
        r#"SELECT
            id, job_type AS queue, apalis.state_of(status, attempts, max_attempts, run_at) AS "state!",
            tenant_id, attempts, max_attempts AS attempts_max, priority, run_at, done_at AS ended_at,
            last_result ->> 'Err' AS error, job, idempotency_key, metadata -> 'traceparent' AS traceparent,
            lock_by, errors AS "errors: Json<Vec<Failure>>"
        FROM apalis.jobs
        WHERE id = $1"#,
        ulid(id)
    )
    .fetch_one(tx.connection())
    .await?;
    let payload = redacted(&row.queue, &row.job);
    let summary = Row {
        id: row.id,
        queue: row.queue,
        state: row.state,
        tenant_id: row.tenant_id,
        attempts: row.attempts,
        attempts_max: row.attempts_max,
        priority: row.priority,
        run_at: row.run_at,
        ended_at: row.ended_at,
        error: row.error,
    };
    Ok(Detail {
        summary: summary.parse()?,
        payload,
        idempotency_key: row.idempotency_key,
        traceparent: row.traceparent,
        worker: row.lock_by,
        errors: row.errors.0,
    })
}

/// What is done to jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// Dead and discarded jobs, and those that wait for their time, are tried anew, now, as if for the first time.
    Retry,
    /// Jobs that wait, and dead ones, are given up for this reason.
    Discard(String),
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repaired {
    /// Jobs that were meant.
    pub matched: u64,
    /// Jobs that were changed. The others were held by a worker, or were so already.
    pub changed: u64,
}

/// Does it to all jobs that are meant, so many in a transaction, each of which records its event.
///
/// # Errors
/// When the database is gone. Then some may be changed, and that is recorded; doing it again does the rest.
pub async fn repair(
    store: &Store,
    selection: &Selection,
    repair: &Repair,
    event: impl Fn(&'static str, Value) -> OperatorEvent,
) -> Result<Repaired, Error> {
    let matched = count(&mut store.control().await?, selection).await?;
    let mut changed = 0;
    // Not more than there were: jobs that are tried anew may fail anew meanwhile.
    while changed < matched {
        let mut tx = store.control().await?;
        let (action, jobs) = match repair {
            Repair::Retry => ("jobs.retried", retry(&mut tx, selection).await?),
            Repair::Discard(reason) => {
                ("jobs.discarded", discard(&mut tx, selection, reason).await?)
            }
        };
        if jobs > 0 {
            let details = json!({"selection": selection.describe(), "jobs": jobs});
            operator_events::record(&mut tx, &event(action, details)).await?;
        }
        tx.commit().await?;
        changed += jobs;
        if jobs < u64::from(BATCH_MAX) {
            break;
        }
    }
    Ok(Repaired { matched, changed })
}

async fn retry(tx: &mut impl Tx, selection: &Selection) -> Result<u64, Error> {
    let changed = sqlx::query!(
        "UPDATE apalis.jobs AS jobs
        SET status = 'Pending', attempts = 0, run_at = now(), due = true, done_at = NULL, lock_at = NULL
        FROM (
            SELECT id FROM apalis.matching($1, $2, $3, $4, $5)
            WHERE status IN ('Failed', 'Killed') OR (status = 'Pending' AND run_at > now())
            ORDER BY id
            LIMIT $6
        ) AS meant
        -- Asked once more of the row as it is when it is locked: a worker may hold it by now.
        WHERE jobs.id = meant.id
            AND (jobs.status IN ('Failed', 'Killed') OR (jobs.status = 'Pending' AND jobs.run_at > now()))",
        selection.ids() as _,
        selection.queue,
        selection.state(),
        selection.tenant(),
        selection.error,
        i64::from(BATCH_MAX)
    )
    .execute(tx.connection())
    .await?;
    Ok(changed.rows_affected())
}

async fn discard(tx: &mut impl Tx, selection: &Selection, reason: &str) -> Result<u64, Error> {
    let changed = sqlx::query!(
        "UPDATE apalis.jobs AS jobs
        SET status = 'Killed', done_at = now(), last_result = jsonb_build_object('Err', $6::text)
        FROM (
            SELECT id FROM apalis.matching($1, $2, $3, $4, $5)
            WHERE status IN ('Failed', 'Pending')
            ORDER BY id
            LIMIT $7
        ) AS meant
        -- As above.
        WHERE jobs.id = meant.id AND jobs.status IN ('Failed', 'Pending')",
        selection.ids() as _,
        selection.queue,
        selection.state(),
        selection.tenant(),
        selection.error,
        reason,
        i64::from(BATCH_MAX)
    )
    .execute(tx.connection())
    .await?;
    Ok(changed.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtimes_form_of_an_id_is_the_same_number() {
        let id = job_id("01M84MHN9ZHYXJCGX1C2C8P33D").expect("an id");
        assert_eq!(id.to_string(), "job_01m84mhn9zhyxjcgx1c2c8p33d");
        assert_eq!(ulid(id), "01M84MHN9ZHYXJCGX1C2C8P33D");
        assert!(job_id("81M84MHN9ZHYXJCGX1C2C8P33D").is_err());
    }

    #[test]
    fn every_state_is_read_as_it_is_written() {
        for state in State::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
        }
        assert_eq!("Dead".parse::<State>(), Err(UnknownState));
    }
}
