//! `webhook_endpoints` and `webhook_lanes`: where a tenant wants to be told of events, and how it goes with them.

use std::num::NonZeroU32;

use domain::destination::Destination;
use domain::id::{TenantId, WebhookEndpointId};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;
use vault::{Column, Owner, Place};
use webhooks::event_type::EventPattern;
use webhooks::filter::Filter;
use webhooks::signature::SignatureKind;

use crate::error::Error;
use crate::page::{Page, Rows};
use crate::tenant_tx::{TenantTx, Tx};
use crate::webhook_secrets::{self, SealedSecret};

/// Where an endpoint's own headers are sealed.
const HEADERS: Column = Column { table: "webhook_endpoints", column: "headers_sealed" };
/// The place of an endpoint's own headers.
#[must_use]
pub const fn headers_place(tenant_id: TenantId, id: WebhookEndpointId) -> Place {
    Place { owner: Owner::Tenant(tenant_id), column: HEADERS, row: id.as_uuid() }
}

/// In which order an endpoint gets its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordering {
    /// In any, several at a time.
    None,
    /// One at a time of those that are about the same thing.
    ByKey,
    /// One at a time.
    Strict,
}

impl Ordering {
    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::ByKey => "ByKey",
            Self::Strict => "Strict",
        }
    }

    /// From its spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::ByKey, Self::Strict]
            .into_iter()
            .find(|ordering| ordering.as_str() == text)
    }

    /// Under which key a message waits for those before it; `None`: for nobody.
    pub(crate) fn lane_key(self, key: Option<&str>) -> Option<String> {
        match self {
            Self::None => None,
            Self::ByKey => Some(format!("key {}", key.unwrap_or_default())),
            Self::Strict => Some("all".to_owned()),
        }
    }
}

/// Why an endpoint gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisabledReason {
    /// Its tenant wants it so.
    ByUser,
    /// It answered 410.
    Gone,
    /// Nothing got through for five days.
    Failing,
}

impl DisabledReason {
    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ByUser => "ByUser",
            Self::Gone => "Gone",
            Self::Failing => "Failing",
        }
    }
}

/// What an endpoint's tenant says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointSettings {
    /// Where.
    pub url: Destination,
    /// What for.
    pub description: String,
    /// Which events.
    pub event_types: Vec<EventPattern>,
    /// Which of those.
    pub filter: Option<Filter>,
    /// Names of headers of its own.
    pub header_names: Vec<String>,
    /// Those headers, sealed.
    pub headers_sealed: Option<Vec<u8>>,
    /// In which order.
    pub ordering: Ordering,
    /// Deliveries a minute.
    pub rate_limit: Option<NonZeroU32>,
    /// Deliveries at the same time, 1 to 100.
    pub in_flight_max: u8,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Its id.
    pub id: WebhookEndpointId,
    /// What its tenant says of it.
    pub settings: EndpointSettings,
    /// How its messages are signed.
    pub signature: SignatureKind,
    /// The public key, where there is one.
    pub public_key: Option<String>,
    /// Why and since when it gets nothing.
    pub disabled: Option<(String, Timestamp)>,
    /// Raised by each change; the `ETag`.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// How it goes.
    pub health: Health,
}

/// How it goes with an endpoint; by default nothing is known to be wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    /// Attempts that failed in a row.
    pub failures: u32,
    /// Since when nothing has got through.
    pub failing_since: Option<Timestamp>,
    /// When it last failed.
    pub failed_last: Option<Timestamp>,
    /// Nothing is sent before.
    pub paused_until: Option<Timestamp>,
    /// Up to which part of the way to its end its tenant was told, in per cent.
    pub warned_percent: u8,
}

struct Row {
    id: WebhookEndpointId,
    url: String,
    description: String,
    event_types: Vec<String>,
    filter: Option<serde_json::Value>,
    header_names: Vec<String>,
    headers_sealed: Option<Vec<u8>>,
    signature: String,
    ordering: String,
    rate_limit: Option<i32>,
    in_flight_max: i16,
    status: String,
    disabled_reason: Option<String>,
    disabled_at: Option<jiff_sqlx::Timestamp>,
    version: i64,
    created_at: jiff_sqlx::Timestamp,
    public_key: Option<String>,
    failures: i32,
    first_failure_at: Option<jiff_sqlx::Timestamp>,
    last_failure_at: Option<jiff_sqlx::Timestamp>,
    open_until: Option<jiff_sqlx::Timestamp>,
    warned_percent: i16,
}

impl TryFrom<Row> for Endpoint {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let settings = EndpointSettings {
            url: row.url.parse().map_err(|_| Error::Foreign("webhook_endpoints.url"))?,
            description: row.description,
            event_types: patterns(&row.event_types)?,
            filter: filter(row.filter.as_ref())?,
            header_names: row.header_names,
            headers_sealed: row.headers_sealed,
            ordering: ordering(&row.ordering)?,
            rate_limit: row.rate_limit.and_then(|limit| NonZeroU32::new(limit.unsigned_abs())),
            in_flight_max: u8::try_from(row.in_flight_max).unwrap_or(1),
        };
        let signature =
            row.signature.parse().map_err(|_| Error::Foreign("webhook_endpoints.signature"))?;
        let disabled = match (row.status.as_str(), row.disabled_reason, row.disabled_at) {
            ("Disabled", Some(reason), Some(at)) => Some((reason, at.to_jiff())),
            _ => None,
        };
        Ok(Self {
            id: row.id,
            settings,
            signature,
            public_key: row.public_key,
            disabled,
            version: row.version,
            created_at: row.created_at.to_jiff(),
            health: Health {
                failures: row.failures.unsigned_abs(),
                failing_since: row.first_failure_at.map(|at| at.to_jiff()),
                failed_last: row.last_failure_at.map(|at| at.to_jiff()),
                paused_until: row.open_until.map(|at| at.to_jiff()),
                warned_percent: u8::try_from(row.warned_percent).unwrap_or(0),
            },
        })
    }
}

pub(crate) fn patterns(texts: &[String]) -> Result<Vec<EventPattern>, Error> {
    let parsed: Result<_, _> = texts.iter().map(|text| text.parse()).collect();
    parsed.map_err(|_| Error::Foreign("webhook_endpoints.event_types"))
}

pub(crate) fn filter(stored: Option<&serde_json::Value>) -> Result<Option<Filter>, Error> {
    let read =
        |stored| Filter::from_stored(stored).ok_or(Error::Foreign("webhook_endpoints.filter"));
    stored.map(read).transpose()
}

pub(crate) fn ordering(text: &str) -> Result<Ordering, Error> {
    Ordering::parse(text).ok_or(Error::Foreign("webhook_endpoints.ordering"))
}

/// Endpoints that the tenant has. Nobody else of the tenant adds one until the transaction ends: a limit can be held.
///
/// # Errors
/// When the database is gone.
pub async fn count_for_update(tx: &mut TenantTx) -> Result<u64, Error> {
    sqlx::query!("SELECT id FROM tenants WHERE id = $1 FOR NO KEY UPDATE", tx.tenant_id() as _)
        .fetch_one(tx.connection())
        .await?;
    count(tx).await
}

/// Endpoints that the tenant has.
///
/// # Errors
/// When the database is gone.
pub async fn count(tx: &mut TenantTx) -> Result<u64, Error> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM webhook_endpoints WHERE tenant_id = $1 AND status <> 'Deleted'"#,
        tx.tenant_id() as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(count.unsigned_abs())
}

/// Inserts an endpoint with its secret.
///
/// # Errors
/// When the database is gone.
pub async fn insert(
    tx: &mut TenantTx,
    endpoint: &Endpoint,
    secret: &SealedSecret,
) -> Result<(), Error> {
    let settings = &endpoint.settings;
    let event_types: Vec<String> = settings.event_types.iter().map(ToString::to_string).collect();
    sqlx::query!(
        "INSERT INTO webhook_endpoints (tenant_id, id, url, description, event_types, filter, header_names,
            headers_sealed, signature, ordering, rate_limit, in_flight_max, status, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'Enabled', $13, $13)",
        tx.tenant_id() as _,
        endpoint.id as _,
        settings.url.as_str(),
        settings.description,
        &event_types,
        settings.filter.as_ref().map(Filter::to_json),
        &settings.header_names,
        settings.headers_sealed,
        endpoint.signature.as_str(),
        settings.ordering.as_str(),
        settings.rate_limit.map(|limit| i32::try_from(limit.get()).unwrap_or(i32::MAX)),
        i16::from(settings.in_flight_max),
        endpoint.created_at.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    sqlx::query!(
        "INSERT INTO webhook_lanes (tenant_id, endpoint_id) VALUES ($1, $2)",
        tx.tenant_id() as _,
        endpoint.id as _
    )
    .execute(tx.connection())
    .await?;
    webhook_secrets::insert(tx, endpoint.id, secret, endpoint.created_at).await
}

/// An endpoint.
///
/// # Errors
/// `NotFound` when the tenant has none of this id.
pub async fn get(tx: &mut TenantTx, id: WebhookEndpointId) -> Result<Endpoint, Error> {
    let found = find(tx, Some(id), None, 1).await?;
    found.into_iter().next().ok_or(Error::NotFound)
}

/// A page of the tenant's endpoints, newest first.
///
/// # Errors
/// When the database is gone.
pub async fn list(tx: &mut TenantTx, page: Page) -> Result<Rows<Endpoint>, Error> {
    let endpoints = find(tx, None, page.after, page.limit.probe()).await?;
    Ok(Rows::cut(endpoints, page.limit, |endpoint: &Endpoint| endpoint.id.as_uuid()))
}

async fn find(
    tx: &mut TenantTx,
    only: Option<WebhookEndpointId>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Endpoint>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT endpoints.id AS "id: WebhookEndpointId", url, description, event_types, filter, header_names,
            headers_sealed, signature, ordering, rate_limit, in_flight_max, status, disabled_reason, disabled_at,
            version, endpoints.created_at, secrets.public_key AS "public_key?", failures, first_failure_at,
            last_failure_at, open_until, warned_percent
        FROM webhook_endpoints AS endpoints
        JOIN webhook_lanes AS lanes ON lanes.tenant_id = endpoints.tenant_id AND lanes.endpoint_id = endpoints.id
        LEFT JOIN webhook_secrets AS secrets ON secrets.tenant_id = endpoints.tenant_id
            AND secrets.endpoint_id = endpoints.id AND secrets.expires_at IS NULL
        WHERE endpoints.tenant_id = $1 AND status <> 'Deleted'
            AND ($2::uuid IS NULL OR endpoints.id = $2)
            AND ($3::uuid IS NULL OR endpoints.id < $3)
        ORDER BY endpoints.id DESC
        LIMIT $4"#,
        tx.tenant_id() as _,
        only.map(|id| id.as_uuid()),
        after,
        limit
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter().map(Endpoint::try_from).collect()
}

/// Replaces the settings of an endpoint that is still at `version`.
///
/// # Errors
/// `Stale` when it was changed or deleted meanwhile.
pub async fn update(
    tx: &mut TenantTx,
    id: WebhookEndpointId,
    version: i64,
    settings: &EndpointSettings,
    now: Timestamp,
) -> Result<(), Error> {
    let event_types: Vec<String> = settings.event_types.iter().map(ToString::to_string).collect();
    let updated = sqlx::query!(
        "UPDATE webhook_endpoints
        SET url = $4, description = $5, event_types = $6, filter = $7, header_names = $8, headers_sealed = $9,
            ordering = $10, rate_limit = $11, in_flight_max = $12, version = version + 1, updated_at = $13
        WHERE tenant_id = $1 AND id = $2 AND version = $3 AND status <> 'Deleted'",
        tx.tenant_id() as _,
        id as _,
        version,
        settings.url.as_str(),
        settings.description,
        &event_types,
        settings.filter.as_ref().map(Filter::to_json),
        &settings.header_names,
        settings.headers_sealed,
        settings.ordering.as_str(),
        settings.rate_limit.map(|limit| i32::try_from(limit.get()).unwrap_or(i32::MAX)),
        i16::from(settings.in_flight_max),
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    if updated.rows_affected() == 1 { Ok(()) } else { Err(Error::Stale) }
}

/// Sends nothing more to an endpoint; whether it was enabled. What it would get is kept.
///
/// # Errors
/// When the database is gone.
pub async fn disable(
    tx: &mut TenantTx,
    id: WebhookEndpointId,
    reason: DisabledReason,
    now: Timestamp,
) -> Result<bool, Error> {
    let updated = sqlx::query!(
        "UPDATE webhook_endpoints
        SET status = 'Disabled', disabled_reason = $3, disabled_at = $4, updated_at = $4, version = version + 1
        WHERE tenant_id = $1 AND id = $2 AND status = 'Enabled'",
        tx.tenant_id() as _,
        id as _,
        reason.as_str(),
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(updated.rows_affected() == 1)
}

/// Sends to an endpoint again, as if nothing had gone wrong; whether it was disabled.
///
/// # Errors
/// When the database is gone.
pub async fn enable(
    tx: &mut TenantTx,
    id: WebhookEndpointId,
    now: Timestamp,
) -> Result<bool, Error> {
    let updated = sqlx::query!(
        "UPDATE webhook_endpoints
        SET status = 'Enabled', disabled_reason = NULL, disabled_at = NULL, updated_at = $3, version = version + 1
        WHERE tenant_id = $1 AND id = $2 AND status = 'Disabled'",
        tx.tenant_id() as _,
        id as _,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    sqlx::query!(
        "UPDATE webhook_lanes
        SET proven = false, failures = 0, open_until = NULL, first_failure_at = NULL, last_failure_at = NULL,
            warned_percent = 0
        WHERE tenant_id = $1 AND endpoint_id = $2",
        tx.tenant_id() as _,
        id as _
    )
    .execute(tx.connection())
    .await?;
    Ok(updated.rows_affected() == 1)
}

/// Closes an endpoint's circuit: somebody asks for an attempt now.
///
/// # Errors
/// When the database is gone.
pub async fn unpause(tx: &mut TenantTx, id: WebhookEndpointId) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE webhook_lanes SET open_until = NULL
        WHERE tenant_id = $1 AND endpoint_id = $2 AND open_until IS NOT NULL",
        tx.tenant_id() as _,
        id as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The tenant was told of an endpoint that fails, up to `percent` of the way to its end.
///
/// # Errors
/// When the database is gone.
pub async fn note_warned(
    tx: &mut TenantTx,
    id: WebhookEndpointId,
    percent: u8,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE webhook_lanes SET warned_percent = $3 WHERE tenant_id = $1 AND endpoint_id = $2",
        tx.tenant_id() as _,
        id as _,
        i16::from(percent)
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Deletes an endpoint. Its row stays until what was sent to it is forgotten; its secrets go at once.
///
/// # Errors
/// `NotFound` when the tenant has none of this id.
pub async fn delete(tx: &mut TenantTx, id: WebhookEndpointId, now: Timestamp) -> Result<(), Error> {
    let deleted = sqlx::query!(
        "UPDATE webhook_endpoints
        SET status = 'Deleted', headers_sealed = NULL, updated_at = $3, version = version + 1
        WHERE tenant_id = $1 AND id = $2 AND status <> 'Deleted'",
        tx.tenant_id() as _,
        id as _,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    if deleted.rows_affected() == 0 {
        return Err(Error::NotFound);
    }
    webhook_secrets::delete_all(tx, id).await
}
