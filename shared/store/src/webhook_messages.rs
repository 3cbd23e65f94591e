//! `webhook_messages`: what tenants are told of, written in the transaction of the event, with a delivery for each
//! endpoint that wants it.

use domain::id::{TenantId, WebhookEndpointId, WebhookMessageId};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::Value;
use vault::{Column, Owner, Place, Purpose};
use webhooks::BodyError;
use webhooks::event_type::{EventPattern, EventType, EventTypeError};
use webhooks::events::Event;
use webhooks::filter::Filter;

use crate::error::Error;
use crate::page::{Page, Rows};
use crate::sealer::Sealer;
use crate::tenant_tx::{TenantTx, Tx};
use crate::webhook_endpoints::{Ordering, filter, ordering, patterns};

/// Where a payload is sealed.
const PAYLOAD: Column = Column { table: "webhook_messages", column: "payload_sealed" };

/// The place of a message's payload.
#[must_use]
pub const fn payload_place(tenant_id: TenantId, id: WebhookMessageId) -> Place {
    Place { owner: Owner::Tenant(tenant_id), column: PAYLOAD, row: id.as_uuid() }
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Its id.
    pub id: WebhookMessageId,
    /// What kind of event.
    pub event_type: EventType,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// A second event of the tenant under this id is the first.
    pub uid: Option<String>,
    /// Events of one key follow from each other.
    pub ordering_key: Option<String>,
    /// The body, as it is sent.
    pub body: Vec<u8>,
}

impl NewMessage {
    /// Of an event of the catalogue that happens now.
    ///
    /// # Errors
    /// When it is too large, or its type is no event type.
    pub fn of<E: Event>(
        id: WebhookMessageId,
        event: &E,
        now: Timestamp,
    ) -> Result<Self, Untellable> {
        let event_type: EventType = E::TYPE.parse()?;
        Ok(Self {
            id,
            body: webhooks::body(&event_type, now, event)?,
            event_type,
            occurred_at: now,
            uid: None,
            ordering_key: Some(event.ordering_key()),
        })
    }
}

/// Why an event of the catalogue cannot be told: a fault of ours.
#[derive(Debug, thiserror::Error)]
pub enum Untellable {
    /// Its type is none.
    #[error("its type {0}")]
    Type(#[from] EventTypeError),
    /// What it says cannot be said.
    #[error("its data {0}")]
    Body(#[from] BodyError),
}

/// Whom it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Every endpoint that wants its like.
    Subscribers,
    /// Every endpoint that wants its like, but one: what is told is about that one.
    AllBut(WebhookEndpointId),
    /// One endpoint, whatever it wants.
    Only(WebhookEndpointId),
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It is on its way to so many endpoints.
    New(u32),
    /// One with this `uid` was there already.
    Duplicate(WebhookMessageId),
    /// The tenant has no endpoint, so nothing is kept.
    Nobody,
}

/// A message, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: WebhookMessageId,
    /// What kind of event.
    pub event_type: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The publisher's own id.
    pub uid: Option<String>,
    /// Events of one key follow from each other.
    pub ordering_key: Option<String>,
}

/// What an endpoint wants.
pub(crate) struct Wish {
    pub(crate) id: WebhookEndpointId,
    pub(crate) event_types: Vec<EventPattern>,
    pub(crate) filter: Option<Filter>,
    pub(crate) ordering: Ordering,
    pub(crate) enabled: bool,
}

impl Wish {
    pub(crate) fn wants(&self, event_type: &EventType) -> bool {
        self.event_types.iter().any(|pattern| pattern.matches(event_type))
    }
}

/// Tells the tenant's endpoints of an event, in its transaction.
///
/// # Errors
/// When the database is gone, or nothing can be sealed. Nothing of the transaction may then be committed.
pub async fn publish(
    tx: &mut TenantTx,
    sealer: &Sealer,
    message: &NewMessage,
    audience: Audience,
    now: Timestamp,
) -> Result<Published, Error> {
    let wishes = wishes(tx).await?;
    if wishes.is_empty() {
        return Ok(Published::Nobody);
    }
    let keys = sealer.keys(tx, Purpose::Webhooks, now).await?;
    let place = payload_place(tx.tenant_id(), message.id);
    let payload_sealed = keys.seal(place, &message.body, sealer.entropy())?;
    let inserted = sqlx::query!(
        "INSERT INTO webhook_messages (tenant_id, id, event_type, occurred_at, uid, ordering_key, payload_sealed)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (tenant_id, uid) WHERE uid IS NOT NULL DO NOTHING",
        tx.tenant_id() as _,
        message.id as _,
        message.event_type.as_str(),
        message.occurred_at.to_sqlx() as _,
        message.uid,
        message.ordering_key,
        payload_sealed
    )
    .execute(tx.connection())
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(Published::Duplicate(of_uid(tx, message.uid.as_deref()).await?));
    }
    let chosen = chosen(&wishes, message, audience);
    insert_deliveries(tx, message, &chosen).await?;
    Ok(Published::New(u32::try_from(chosen.len()).unwrap_or(u32::MAX)))
}

fn chosen<'a>(wishes: &'a [Wish], message: &NewMessage, audience: Audience) -> Vec<&'a Wish> {
    // Parsed once, and only if somebody looks into it.
    let mut body: Option<Value> = None;
    let mut holds = |filter: &Filter| {
        let body =
            body.get_or_insert_with(|| serde_json::from_slice(&message.body).unwrap_or_default());
        filter.holds(body)
    };
    let mut is_chosen = |wish: &&Wish| match audience {
        Audience::Only(id) => wish.id == id,
        Audience::AllBut(id) if wish.id == id => false,
        Audience::AllBut(_) | Audience::Subscribers => {
            wish.wants(&message.event_type) && wish.filter.as_ref().is_none_or(&mut holds)
        }
    };
    wishes.iter().filter(|wish| is_chosen(wish)).collect()
}

async fn insert_deliveries(
    tx: &mut TenantTx,
    message: &NewMessage,
    chosen: &[&Wish],
) -> Result<(), Error> {
    if chosen.is_empty() {
        return Ok(());
    }
    let key = message.ordering_key.as_deref();
    let endpoints: Vec<_> = chosen.iter().map(|wish| wish.id.as_uuid()).collect();
    let enabled: Vec<_> = chosen.iter().map(|wish| wish.enabled).collect();
    let keys: Vec<_> = chosen.iter().map(|wish| wish.ordering.lane_key(key)).collect();
    // By the database's clock, which says when deliveries are due, too.
    sqlx::query!(
        "INSERT INTO webhook_deliveries
            (tenant_id, endpoint_id, message_id, status, ordering_key, next_attempt_at, due, created_at, ended_at)
        SELECT $1, endpoint_id, $2, CASE WHEN enabled THEN 'Pending' ELSE 'Held' END, ordering_key,
            CASE WHEN enabled THEN clock_timestamp() END, enabled, clock_timestamp(),
            CASE WHEN NOT enabled THEN clock_timestamp() END
        FROM unnest($3::uuid[], $4::boolean[], $5::text[]) AS chosen (endpoint_id, enabled, ordering_key)",
        tx.tenant_id() as _,
        message.id as _,
        &endpoints,
        &enabled,
        &keys as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// What the tenant's endpoints want.
pub(crate) async fn wishes(tx: &mut TenantTx) -> Result<Vec<Wish>, Error> {
    let rows = sqlx::query!(
        "SELECT id, event_types, filter, ordering, status FROM webhook_endpoints
        WHERE tenant_id = $1 AND status <> 'Deleted'",
        tx.tenant_id() as _
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Wish {
                id: row.id,
                event_types: patterns(&row.event_types)?,
                filter: filter(row.filter.as_ref())?,
                ordering: ordering(&row.ordering)?,
                enabled: row.status == "Enabled",
            })
        })
        .collect()
}

async fn of_uid(tx: &mut TenantTx, uid: Option<&str>) -> Result<WebhookMessageId, Error> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM webhook_messages WHERE tenant_id = $1 AND uid = $2",
        tx.tenant_id() as _,
        uid
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(id)
}

/// A message with its payload, sealed.
///
/// # Errors
/// `NotFound` when the tenant has none of this id, or none any more.
pub async fn get(tx: &mut TenantTx, id: WebhookMessageId) -> Result<(Message, Vec<u8>), Error> {
    let row = sqlx::query!(
        "SELECT id, event_type, occurred_at, uid, ordering_key, payload_sealed FROM webhook_messages
        WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    let message = Message {
        id: row.id,
        event_type: row.event_type,
        occurred_at: row.occurred_at.to_jiff(),
        uid: row.uid,
        ordering_key: row.ordering_key,
    };
    Ok((message, row.payload_sealed))
}

/// A page of the tenant's messages, newest first; of one event type where one is named.
///
/// # Errors
/// When the database is gone.
pub async fn list(
    tx: &mut TenantTx,
    event_type: Option<&str>,
    page: Page,
) -> Result<Rows<Message>, Error> {
    let rows = sqlx::query!(
        "SELECT id, event_type, occurred_at, uid, ordering_key FROM webhook_messages
        WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2) AND ($3::text IS NULL OR event_type = $3)
        ORDER BY id DESC
        LIMIT $4",
        tx.tenant_id() as _,
        page.after,
        event_type,
        page.limit.probe()
    )
    .fetch_all(tx.connection())
    .await?;
    let messages = rows
        .into_iter()
        .map(|row| Message {
            id: row.id,
            event_type: row.event_type,
            occurred_at: row.occurred_at.to_jiff(),
            uid: row.uid,
            ordering_key: row.ordering_key,
        })
        .collect();
    Ok(Rows::cut(messages, page.limit, |message: &Message| message.id.as_uuid()))
}
