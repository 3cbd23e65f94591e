//! What those who deliver webhooks ask of the database: across tenants, by functions of a role of their own
//! (`migrations/0016_webhook_dispatch.sql`). Payloads come sealed.

use std::time::Duration;

use domain::id::{TenantId, WebhookEndpointId, WebhookMessageId};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use crate::Store;
use crate::error::Error;

/// A delivery that is the caller's to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// Whose.
    pub tenant_id: TenantId,
    /// To where.
    pub endpoint_id: WebhookEndpointId,
    /// What.
    pub message_id: WebhookMessageId,
    /// Of the endpoint: what is known of another version is not so any more.
    pub endpoint_version: i64,
    /// Attempts that were made before.
    pub attempts: u32,
    /// Those of them that failed since it was last sent anew.
    pub failures: u32,
    /// The body, sealed.
    pub payload_sealed: Vec<u8>,
    /// How long ago it was published.
    pub waited: Duration,
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Whose.
    pub tenant_id: TenantId,
    /// To where.
    pub endpoint_id: WebhookEndpointId,
    /// What.
    pub message_id: WebhookMessageId,
    /// Under which lease.
    pub lease: Uuid,
    /// What follows.
    pub outcome: Outcome,
    /// The endpoint asked for silence until then.
    pub pause_until: Option<Timestamp>,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What was answered.
    pub status_code: Option<u16>,
    /// Why it failed: a word, and a sentence.
    pub error: Option<(&'static str, String)>,
    /// The first bytes of the answer, sealed.
    pub answer_sealed: Option<Vec<u8>>,
}

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It got there.
    Delivered,
    /// It did not, and is tried again then.
    Retry(Timestamp),
    /// It did not, and is given up.
    Failed,
}

impl Outcome {
    /// The spelling of the database, and of metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "Delivered",
            Self::Retry(_) => "Retry",
            Self::Failed => "Failed",
        }
    }
}

/// How deliveries and endpoints stand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Deliveries whose time has come.
    pub due: i64,
    /// Those that wait for their time.
    pub later: i64,
    /// Those that are being sent.
    pub sending: i64,
    /// How long the oldest has been due that nothing holds back, in seconds.
    pub oldest_due_seconds: f64,
    /// Endpoints to which nothing is sent for now.
    pub open_circuits: i64,
    /// Endpoints that are enabled.
    pub enabled_endpoints: i64,
    /// Endpoints that are disabled.
    pub disabled_endpoints: i64,
}

/// Up to `wanted` deliveries, under `lease` for as long as `lasting`.
///
/// # Errors
/// When the database is gone.
pub async fn lease(
    store: &Store,
    lease: Uuid,
    wanted: u32,
    lasting: Duration,
) -> Result<Vec<Leased>, Error> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!: TenantId", endpoint_id AS "endpoint_id!: WebhookEndpointId",
            message_id AS "message_id!: WebhookMessageId", endpoint_version AS "endpoint_version!",
            attempts AS "attempts!", failures AS "failures!", payload_sealed AS "payload_sealed!",
            waited_us AS "waited_us!"
        FROM lease_webhooks($1, $2, make_interval(secs => $3))"#,
        lease,
        i32::try_from(wanted).unwrap_or(i32::MAX),
        lasting.as_secs_f64()
    )
    .fetch_all(store.pool())
    .await?;
    let leased = rows
        .into_iter()
        .map(|row| Leased {
            tenant_id: row.tenant_id,
            endpoint_id: row.endpoint_id,
            message_id: row.message_id,
            endpoint_version: row.endpoint_version,
            attempts: row.attempts.unsigned_abs(),
            failures: row.failures.unsigned_abs(),
            payload_sealed: row.payload_sealed,
            waited: Duration::from_micros(u64::try_from(row.waited_us).unwrap_or(0)),
        })
        .collect();
    Ok(leased)
}

/// Takes in how attempts went; how many of them counted. One does not whose lease has run out.
///
/// # Errors
/// When the database is gone; then none was taken in, or all were.
pub async fn settle(store: &Store, settlements: &[Settlement]) -> Result<u64, Error> {
    let all = || settlements.iter();
    let tenants: Vec<_> = all().map(|one| one.tenant_id.as_uuid()).collect();
    let endpoints: Vec<_> = all().map(|one| one.endpoint_id.as_uuid()).collect();
    let messages: Vec<_> = all().map(|one| one.message_id.as_uuid()).collect();
    let leases: Vec<_> = all().map(|one| one.lease).collect();
    let outcomes: Vec<_> = all().map(|one| one.outcome.as_str().to_owned()).collect();
    let retry_ats: Vec<_> = all()
        .map(|one| match one.outcome {
            Outcome::Retry(at) => Some(at.to_sqlx()),
            _ => None,
        })
        .collect();
    let pauses: Vec<_> = all().map(|one| one.pause_until.map(ToSqlx::to_sqlx)).collect();
    let started_ats: Vec<_> = all().map(|one| one.started_at.to_sqlx()).collect();
    let took = |one: &Settlement| i32::try_from(one.took.as_millis()).unwrap_or(i32::MAX);
    let tooks: Vec<_> = all().map(took).collect();
    let status = |one: &Settlement| one.status_code.and_then(|code| i16::try_from(code).ok());
    let statuses: Vec<_> = all().map(status).collect();
    let codes: Vec<_> = all().map(|one| one.error.as_ref().map(|(code, _)| *code)).collect();
    let errors: Vec<_> =
        all().map(|one| one.error.as_ref().map(|(_, text)| text.as_str())).collect();
    let answers: Vec<_> = all().map(|one| one.answer_sealed.as_deref()).collect();
    let counted = sqlx::query_scalar!(
        r#"SELECT settle_webhooks($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) AS "counted!""#,
        &tenants,
        &endpoints,
        &messages,
        &leases,
        &outcomes,
        retry_ats as _,
        pauses as _,
        started_ats as _,
        &tooks,
        statuses as _,
        codes as _,
        errors as _,
        answers as _
    )
    .fetch_one(store.pool())
    .await?;
    Ok(u64::from(counted.unsigned_abs()))
}

/// Has deliveries that nobody settled in time be anybody's again; how many.
///
/// # Errors
/// When the database is gone.
pub async fn release(store: &Store) -> Result<u64, Error> {
    let released = sqlx::query_scalar!(r#"SELECT release_webhooks() AS "released!""#)
        .fetch_one(store.pool())
        .await?;
    Ok(released.unsigned_abs())
}

/// Endpoints that fail for so long that their tenants are to be told.
///
/// # Errors
/// When the database is gone.
pub async fn failing(store: &Store) -> Result<Vec<(TenantId, WebhookEndpointId)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!: TenantId", endpoint_id AS "endpoint_id!: WebhookEndpointId"
        FROM failing_webhook_endpoints()"#
    )
    .fetch_all(store.pool())
    .await?;
    Ok(rows.into_iter().map(|row| (row.tenant_id, row.endpoint_id)).collect())
}

/// The tenants that have, or had, endpoints.
///
/// # Errors
/// When the database is gone.
pub async fn tenants(store: &Store) -> Result<Vec<TenantId>, Error> {
    let tenants = sqlx::query_scalar!(r#"SELECT webhook_tenants() AS "tenant_id!: TenantId""#)
        .fetch_all(store.pool())
        .await?;
    Ok(tenants)
}

/// How deliveries and endpoints stand.
///
/// # Errors
/// When the database is gone.
pub async fn standing(store: &Store) -> Result<Standing, Error> {
    let standing = sqlx::query_as!(
        Standing,
        r#"SELECT due AS "due!", later AS "later!", sending AS "sending!",
            oldest_due_seconds AS "oldest_due_seconds!", open_circuits AS "open_circuits!",
            enabled_endpoints AS "enabled_endpoints!", disabled_endpoints AS "disabled_endpoints!"
        FROM webhook_standing()"#
    )
    .fetch_one(store.pool())
    .await?;
    Ok(standing)
}
