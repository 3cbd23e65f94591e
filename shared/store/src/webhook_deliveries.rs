//! `webhook_deliveries` and `webhook_attempts`, as a tenant sees them: how it went, and sending again.

use domain::id::{TenantId, WebhookEndpointId, WebhookMessageId};
use jiff::Timestamp;
use vault::{Column, Owner, Place};

use crate::error::Error;
use crate::page::{Page, PageLimit, Rows};
use crate::tenant_tx::{TenantTx, Tx};

/// Where an answer is sealed.
const ANSWER: Column = Column { table: "webhook_attempts", column: "answer_sealed" };

/// The place of the answers to a message.
#[must_use]
pub const fn answer_place(tenant_id: TenantId, id: WebhookMessageId) -> Place {
    Place { owner: Owner::Tenant(tenant_id), column: ANSWER, row: id.as_uuid() }
}

/// A message on its way to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// To where.
    pub endpoint_id: WebhookEndpointId,
    /// What.
    pub message_id: WebhookMessageId,
    /// What kind of event.
    pub event_type: String,
    /// `Pending`, `Sending`, `Delivered`, `Failed` or `Held`.
    pub status: String,
    /// Attempts that were made.
    pub attempts: u32,
    /// When the next is made.
    pub next_attempt_at: Option<Timestamp>,
    /// The last status that was answered.
    pub last_status_code: Option<u16>,
    /// Why the last attempt failed, in a word.
    pub last_error_code: Option<String>,
    /// Since when it is on its way.
    pub created_at: Timestamp,
    /// When it got there, or was given up.
    pub ended_at: Option<Timestamp>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// When.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u32,
    /// What was answered; `None`: nothing.
    pub status_code: Option<u16>,
    /// Why it failed: a word, and a sentence.
    pub error: Option<(String, String)>,
    /// The first bytes of the answer, sealed.
    pub answer_sealed: Option<Vec<u8>>,
}

/// Which deliveries are wanted; a filter that is `None` lets all through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// This message only.
    pub message_id: Option<WebhookMessageId>,
    /// Of this status.
    pub status: Option<String>,
}

/// A page of the deliveries to an endpoint, newest first.
///
/// # Errors
/// When the database is gone.
pub async fn list(
    tx: &mut TenantTx,
    endpoint_id: WebhookEndpointId,
    filter: &DeliveryFilter,
    page: Page,
) -> Result<Rows<Delivery>, Error> {
    let rows = sqlx::query!(
        "SELECT endpoint_id, message_id, event_type, status, attempts, next_attempt_at, last_status_code,
            last_error_code, created_at, ended_at
        FROM webhook_deliveries AS deliveries
        JOIN webhook_messages AS messages
            ON messages.tenant_id = deliveries.tenant_id AND messages.id = deliveries.message_id
        WHERE deliveries.tenant_id = $1 AND endpoint_id = $2
            AND ($3::uuid IS NULL OR message_id < $3)
            AND ($4::uuid IS NULL OR message_id = $4)
            AND ($5::text IS NULL OR status = $5)
        ORDER BY message_id DESC
        LIMIT $6",
        tx.tenant_id() as _,
        endpoint_id as _,
        page.after,
        filter.message_id.map(|id| id.as_uuid()),
        filter.status,
        page.limit.probe()
    )
    .fetch_all(tx.connection())
    .await?;
    let deliveries = rows
        .into_iter()
        .map(|row| Delivery {
            endpoint_id: row.endpoint_id,
            message_id: row.message_id,
            event_type: row.event_type,
            status: row.status,
            attempts: row.attempts.unsigned_abs(),
            next_attempt_at: row.next_attempt_at.map(|at| at.to_jiff()),
            last_status_code: row.last_status_code.map(i16::unsigned_abs),
            last_error_code: row.last_error_code,
            created_at: row.created_at.to_jiff(),
            ended_at: row.ended_at.map(|at| at.to_jiff()),
        })
        .collect();
    Ok(Rows::cut(deliveries, page.limit, |delivery: &Delivery| delivery.message_id.as_uuid()))
}

/// A delivery.
///
/// # Errors
/// `NotFound` when the message was never for that endpoint.
pub async fn get(
    tx: &mut TenantTx,
    endpoint_id: WebhookEndpointId,
    message_id: WebhookMessageId,
) -> Result<Delivery, Error> {
    let filter = DeliveryFilter { message_id: Some(message_id), status: None };
    let page = Page { limit: PageLimit::DEFAULT, after: None };
    let found = list(tx, endpoint_id, &filter, page).await?;
    found.rows.into_iter().next().ok_or(Error::NotFound)
}

/// The newest attempts of a delivery, a hundred at most, newest first.
///
/// # Errors
/// When the database is gone.
pub async fn attempts(
    tx: &mut TenantTx,
    endpoint_id: WebhookEndpointId,
    message_id: WebhookMessageId,
) -> Result<Vec<Attempt>, Error> {
    let rows = sqlx::query!(
        "SELECT number, started_at, took_ms, status_code, error_code, error, answer_sealed
        FROM webhook_attempts
        WHERE tenant_id = $1 AND endpoint_id = $2 AND message_id = $3
        ORDER BY number DESC
        LIMIT 100",
        tx.tenant_id() as _,
        endpoint_id as _,
        message_id as _
    )
    .fetch_all(tx.connection())
    .await?;
    let attempts = rows
        .into_iter()
        .map(|row| Attempt {
            number: row.number.unsigned_abs(),
            started_at: row.started_at.to_jiff(),
            took_ms: row.took_ms.unsigned_abs(),
            status_code: row.status_code.map(i16::unsigned_abs),
            error: row.error_code.map(|code| (code, row.error.unwrap_or_default())),
            answer_sealed: row.answer_sealed,
        })
        .collect();
    Ok(attempts)
}

/// What became of the wish to send something again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resent {
    /// It is due, with the whole schedule before it.
    Due,
    /// It is being sent just now.
    UnderWay,
}

/// Sends a message to an endpoint again, at once.
///
/// # Errors
/// `NotFound` when it was never for that endpoint.
pub async fn resend(
    tx: &mut TenantTx,
    endpoint_id: WebhookEndpointId,
    message_id: WebhookMessageId,
) -> Result<Resent, Error> {
    let updated = sqlx::query!(
        "UPDATE webhook_deliveries
        SET status = 'Pending', due = true, next_attempt_at = now(), failures = 0, replayed = false, ended_at = NULL
        WHERE tenant_id = $1 AND endpoint_id = $2 AND message_id = $3 AND status <> 'Sending'",
        tx.tenant_id() as _,
        endpoint_id as _,
        message_id as _
    )
    .execute(tx.connection())
    .await?;
    if updated.rows_affected() == 1 {
        wake(tx).await?;
        return Ok(Resent::Due);
    }
    get(tx, endpoint_id, message_id).await?;
    Ok(Resent::UnderWay)
}

/// Wakes who delivers: what an update made due, no trigger tells of.
pub(crate) async fn wake(tx: &mut TenantTx) -> Result<(), Error> {
    sqlx::query!(r#"SELECT pg_notify('apalis_jobs', 'webhook deliveries') AS "notified: ()""#)
        .fetch_one(tx.connection())
        .await?;
    Ok(())
}
