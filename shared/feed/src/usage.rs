//! What the edge may write in Postgres: the batches that it counted, each once, and how far it is.

use std::time::Duration;

use domain::secret::Secret;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use metering::{Batch, Principal};
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;
use uuid::Uuid;

/// Past it a connection is taken for dead.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Seconds of a minute, in which counts are kept.
const MINUTE_SECS: i64 = 60;

/// Usage could not be handed over; it is still where it was.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// Postgres is away or refuses.
    #[error("usage cannot be submitted: {0}")]
    Database(#[from] sqlx::Error),
    /// Postgres does not answer.
    #[error("Postgres does not answer in time")]
    Silent(#[from] tokio::time::error::Elapsed),
}

/// How far a life of an edge is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// The edge.
    pub edge_id: Uuid,
    /// Its life.
    pub boot_id: Uuid,
    /// The unix minute from which on it may still tell of counts; all earlier ones were submitted.
    pub watermark: i64,
    /// The newest batch that was submitted.
    pub last_number: Option<u64>,
    /// All requests of its batches up to that one.
    pub total: u64,
    /// It will submit no more.
    pub ended: bool,
}

/// Where usage is handed over. Connects when it is needed, and anew after a failure.
pub struct UsageSink {
    url: Secret<String>,
    connection: Option<PgConnection>,
}

impl UsageSink {
    /// A sink in the database at `url`, as the role `pytake_edge`.
    #[must_use]
    pub const fn new(url: Secret<String>) -> Self {
        Self { url, connection: None }
    }

    /// Hands over a batch. When this returns it is kept, and rolled up soon; false: it was there already.
    ///
    /// # Errors
    /// It may or may not have been kept: submit it again.
    pub async fn submit(&mut self, batch: &Batch) -> Result<bool, UsageError> {
        let connection = self.connection().await?;
        let outcome = timeout(ANSWER_MAX, submit(connection, batch)).await;
        self.judge(outcome)
    }

    /// Tells how far an edge is.
    ///
    /// # Errors
    /// When Postgres is away.
    pub async fn report(&mut self, progress: &Progress) -> Result<(), UsageError> {
        let connection = self.connection().await?;
        let outcome = timeout(ANSWER_MAX, report(connection, progress)).await;
        self.judge(outcome)
    }

    async fn connection(&mut self) -> Result<&mut PgConnection, UsageError> {
        if self.connection.is_none() {
            let connecting = PgConnection::connect(self.url.expose());
            self.connection = Some(timeout(ANSWER_MAX, connecting).await??);
        }
        self.connection.as_mut().ok_or_else(|| sqlx::Error::PoolClosed.into())
    }

    fn judge<T>(
        &mut self,
        outcome: Result<Result<T, sqlx::Error>, tokio::time::error::Elapsed>,
    ) -> Result<T, UsageError> {
        let outcome = outcome.map_err(UsageError::from).and_then(|done| Ok(done?));
        if outcome.is_err() {
            self.connection = None;
        }
        outcome
    }
}

async fn submit(connection: &mut PgConnection, batch: &Batch) -> Result<bool, sqlx::Error> {
    let labels = &batch.labels;
    let routes: Vec<String> = labels.iter().map(|label| label.route.clone()).collect();
    let meters = labels.iter().map(|label| label.meter.as_ref());
    let (meters, weights): (Vec<String>, Vec<i64>) = meters
        .map(|meter| {
            meter.map_or((String::new(), 0), |(name, weight)| (name.clone(), i64::from(*weight)))
        })
        .unzip();
    let rows = &batch.rows;
    let tenants: Vec<Uuid> = rows.iter().map(|row| row.tenant.as_uuid()).collect();
    // Arrays of Postgres begin at 1.
    let places: Vec<i32> = rows.iter().map(|row| i32::from(row.label) + 1).collect();
    let requests: Vec<i64> = rows.iter().map(|row| integer(row.requests)).collect();
    let (api_keys, users): (Vec<Uuid>, Vec<Uuid>) = rows
        .iter()
        .map(|row| match row.principal {
            Principal::None => (Uuid::nil(), Uuid::nil()),
            Principal::ApiKey(id) => (id.as_uuid(), Uuid::nil()),
            Principal::User(id) => (Uuid::nil(), id.as_uuid()),
        })
        .unzip();
    let outcomes: Vec<i16> = rows.iter().map(|row| row.outcome as i16).collect();
    sqlx::query_scalar!(
        r#"SELECT edge.submit_usage($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) AS "new!""#,
        batch.edge_id,
        batch.boot_id,
        integer(batch.number),
        minute(batch.minute).to_sqlx() as _,
        integer(batch.total_before),
        &routes,
        &meters,
        &weights,
        &tenants,
        &places,
        &requests,
        &api_keys,
        &users,
        &outcomes
    )
    .fetch_one(connection)
    .await
}

async fn report(connection: &mut PgConnection, progress: &Progress) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"SELECT edge.report_usage($1, $2, $3, $4, $5, $6) AS "done: ()""#,
        progress.edge_id,
        progress.boot_id,
        minute(progress.watermark).to_sqlx() as _,
        progress.last_number.map(integer),
        integer(progress.total),
        progress.ended
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

fn minute(unix: i64) -> Timestamp {
    Timestamp::from_second(unix.saturating_mul(MINUTE_SECS)).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
