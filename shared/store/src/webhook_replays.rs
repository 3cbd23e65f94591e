//! `webhook_replays`: messages that are sent to an endpoint again, by the thousand, some at a time.

use domain::id::{WebhookEndpointId, WebhookMessageId, WebhookReplayId};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::Value;
use uuid::Uuid;
use vault::Purpose;
use webhooks::event_type::{EventPattern, EventType};

use crate::error::Error;
use crate::page::{Page, Rows};
use crate::sealer::Sealer;
use crate::tenant_tx::{TenantTx, Tx};
use crate::webhook_deliveries::wake;
use crate::webhook_endpoints::patterns;
use crate::webhook_messages::{self, Wish, payload_place};

/// Messages that are looked at in one transaction.
const BATCH: i64 = 1_000;
/// The same where each payload is opened.
const BATCH_OPENED: i64 = 100;

/// What is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What was given up, or held while the endpoint was disabled.
    Failed,
    /// Whatever the endpoint wants, sent before or not.
    All,
}

impl Scope {
    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "Failed",
            Self::All => "All",
        }
    }

    /// From its spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Failed, Self::All].into_iter().find(|scope| scope.as_str() == text)
    }
}

/// A call to send messages again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Its id.
    pub id: WebhookReplayId,
    /// To where.
    pub endpoint_id: WebhookEndpointId,
    /// What.
    pub scope: Scope,
    /// Only events of these types; `None`: of all.
    pub event_types: Option<Vec<EventPattern>>,
    /// Published from then on.
    pub since: Timestamp,
    /// Published before.
    pub until: Timestamp,
    /// `Running`, `Done` or `Canceled`.
    pub status: String,
    /// Messages of that time.
    pub total: u64,
    /// How many of them were looked at.
    pub seen: u64,
    /// How many are sent again.
    pub queued: u64,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl Replay {
    /// One that begins at `now`, of messages published from `since` until then.
    #[must_use]
    pub fn new(
        id: WebhookReplayId,
        endpoint_id: WebhookEndpointId,
        scope: Scope,
        since: Timestamp,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            endpoint_id,
            scope,
            event_types: None,
            since,
            until: now,
            status: "Running".to_owned(),
            total: 0,
            seen: 0,
            queued: 0,
            created_at: now,
            ended_at: None,
        }
    }
}

struct Row {
    id: WebhookReplayId,
    endpoint_id: WebhookEndpointId,
    scope: String,
    event_types: Option<Vec<String>>,
    since: jiff_sqlx::Timestamp,
    until: jiff_sqlx::Timestamp,
    status: String,
    total: i64,
    seen: i64,
    queued: i64,
    position: Option<WebhookMessageId>,
    created_at: jiff_sqlx::Timestamp,
    ended_at: Option<jiff_sqlx::Timestamp>,
}

impl TryFrom<Row> for Replay {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.id,
            endpoint_id: row.endpoint_id,
            scope: Scope::parse(&row.scope).ok_or(Error::Foreign("webhook_replays.scope"))?,
            event_types: row.event_types.as_deref().map(patterns).transpose()?,
            since: row.since.to_jiff(),
            until: row.until.to_jiff(),
            status: row.status,
            total: row.total.unsigned_abs(),
            seen: row.seen.unsigned_abs(),
            queued: row.queued.unsigned_abs(),
            created_at: row.created_at.to_jiff(),
            ended_at: row.ended_at.map(|at| at.to_jiff()),
        })
    }
}

/// The least id of a message that is made at `at`: ids begin with their time, in milliseconds.
fn first_id_at(at: Timestamp) -> Uuid {
    WebhookMessageId::new(at, [0; 10]).as_uuid()
}

/// Begins a replay, with its total counted. `false`: one is running for this endpoint.
///
/// # Errors
/// When the database is gone.
pub async fn begin(tx: &mut TenantTx, replay: &Replay) -> Result<bool, Error> {
    let event_types: Option<Vec<String>> = replay
        .event_types
        .as_ref()
        .map(|patterns| patterns.iter().map(ToString::to_string).collect());
    let inserted = sqlx::query!(
        "INSERT INTO webhook_replays
            (tenant_id, id, endpoint_id, scope, event_types, since, until, status, total, created_at)
        SELECT $1, $2, $3, $4, $5, $6, $7, 'Running', count(*), $8
        FROM webhook_messages
        WHERE tenant_id = $1 AND id >= $9 AND id < $10
        ON CONFLICT (tenant_id, endpoint_id) WHERE status = 'Running' DO NOTHING",
        tx.tenant_id() as _,
        replay.id as _,
        replay.endpoint_id as _,
        replay.scope.as_str(),
        event_types.as_deref(),
        replay.since.to_sqlx() as _,
        replay.until.to_sqlx() as _,
        replay.created_at.to_sqlx() as _,
        first_id_at(replay.since),
        first_id_at(replay.until)
    )
    .execute(tx.connection())
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// A replay.
///
/// # Errors
/// `NotFound` when the tenant has none of this id.
pub async fn get(tx: &mut TenantTx, id: WebhookReplayId) -> Result<Replay, Error> {
    row(tx, id).await?.try_into()
}

async fn row(tx: &mut TenantTx, id: WebhookReplayId) -> Result<Row, Error> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, endpoint_id, scope, event_types, since, until, status, total, seen, queued, position, created_at,
            ended_at
        FROM webhook_replays
        WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(row)
}

/// Nobody else goes on with a replay, or ends it, until the transaction is over. Who looks at it does not wait.
async fn lock(tx: &mut TenantTx, id: WebhookReplayId) -> Result<(), Error> {
    sqlx::query!(
        "SELECT id FROM webhook_replays WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE",
        tx.tenant_id() as _,
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(())
}

/// A page of the replays of an endpoint, newest first.
///
/// # Errors
/// When the database is gone.
pub async fn list(
    tx: &mut TenantTx,
    endpoint_id: WebhookEndpointId,
    page: Page,
) -> Result<Rows<Replay>, Error> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, endpoint_id, scope, event_types, since, until, status, total, seen, queued, position, created_at,
            ended_at
        FROM webhook_replays
        WHERE tenant_id = $1 AND endpoint_id = $2 AND ($3::uuid IS NULL OR id < $3)
        ORDER BY id DESC
        LIMIT $4",
        tx.tenant_id() as _,
        endpoint_id as _,
        page.after,
        page.limit.probe()
    )
    .fetch_all(tx.connection())
    .await?;
    let replays = rows.into_iter().map(Replay::try_from).collect::<Result<_, _>>()?;
    Ok(Rows::cut(replays, page.limit, |replay: &Replay| replay.id.as_uuid()))
}

/// Ends a replay that runs; whether it did. What is due already is sent.
///
/// # Errors
/// When the database is gone.
pub async fn cancel(tx: &mut TenantTx, id: WebhookReplayId, now: Timestamp) -> Result<bool, Error> {
    end(tx, id, "Canceled", now).await
}

async fn end(
    tx: &mut TenantTx,
    id: WebhookReplayId,
    status: &str,
    now: Timestamp,
) -> Result<bool, Error> {
    let ended = sqlx::query!(
        "UPDATE webhook_replays SET status = $3, ended_at = $4
        WHERE tenant_id = $1 AND id = $2 AND status = 'Running'",
        tx.tenant_id() as _,
        id as _,
        status,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Goes on with a replay, some messages further; whether more is left. Where it stands is in the same transaction as what
/// is sent again, so it may be killed anywhere and be called by two at once.
///
/// # Errors
/// When the database is gone, or a payload does not open.
pub async fn step(
    tx: &mut TenantTx,
    sealer: &Sealer,
    id: WebhookReplayId,
    now: Timestamp,
) -> Result<bool, Error> {
    lock(tx, id).await?;
    let row = row(tx, id).await?;
    if row.status != "Running" {
        return Ok(false);
    }
    let position = row.position;
    let replay = Replay::try_from(row)?;
    let wishes = webhook_messages::wishes(tx).await?;
    let Some(wish) = wishes.into_iter().find(|wish| wish.id == replay.endpoint_id) else {
        end(tx, id, "Canceled", now).await?;
        return Ok(false);
    };
    let looks_into = replay.scope == Scope::All && wish.filter.is_some();
    let batch = if looks_into { BATCH_OPENED } else { BATCH };
    let seen = candidates(tx, &replay, position, looks_into, batch).await?;
    let chosen = choose(tx, sealer, &replay, &wish, &seen).await?;
    requeue(tx, &wish, &chosen).await?;
    let Some(last) = seen.last() else {
        end(tx, id, "Done", now).await?;
        return Ok(false);
    };
    sqlx::query!(
        "UPDATE webhook_replays SET position = $3, seen = seen + $4, queued = queued + $5
        WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        id as _,
        last.id as _,
        i64::try_from(seen.len()).unwrap_or(i64::MAX),
        i64::try_from(chosen.len()).unwrap_or(i64::MAX)
    )
    .execute(tx.connection())
    .await?;
    Ok(true)
}

struct Candidate {
    id: WebhookMessageId,
    event_type: EventType,
    ordering_key: Option<String>,
    /// How its delivery to the endpoint stands.
    status: Option<String>,
    payload_sealed: Option<Vec<u8>>,
}

async fn candidates(
    tx: &mut TenantTx,
    replay: &Replay,
    position: Option<WebhookMessageId>,
    with_payload: bool,
    batch: i64,
) -> Result<Vec<Candidate>, Error> {
    let since = first_id_at(replay.since);
    let rows = sqlx::query!(
        r#"SELECT messages.id AS "id: WebhookMessageId", event_type, messages.ordering_key,
            deliveries.status AS "status?", CASE WHEN $6 THEN payload_sealed END AS payload_sealed
        FROM webhook_messages AS messages
        LEFT JOIN webhook_deliveries AS deliveries ON deliveries.tenant_id = messages.tenant_id
            AND deliveries.endpoint_id = $2 AND deliveries.message_id = messages.id
        WHERE messages.tenant_id = $1 AND messages.id >= $3 AND messages.id < $4
            AND ($5::uuid IS NULL OR messages.id > $5)
        ORDER BY messages.id
        LIMIT $7"#,
        tx.tenant_id() as _,
        replay.endpoint_id as _,
        since,
        first_id_at(replay.until),
        position.map(|id| id.as_uuid()),
        with_payload,
        batch
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Candidate {
                id: row.id,
                event_type: row
                    .event_type
                    .parse()
                    .map_err(|_| Error::Foreign("webhook_messages.event_type"))?,
                ordering_key: row.ordering_key,
                status: row.status,
                payload_sealed: row.payload_sealed,
            })
        })
        .collect()
}

async fn choose<'a>(
    tx: &mut TenantTx,
    sealer: &Sealer,
    replay: &Replay,
    wish: &Wish,
    seen: &'a [Candidate],
) -> Result<Vec<&'a Candidate>, Error> {
    let tenant_id = tx.tenant_id();
    let looks_into = seen.iter().any(|candidate| candidate.payload_sealed.is_some());
    let keys =
        if looks_into { Some(sealer.keys_there(tx, Purpose::Webhooks).await?) } else { None };
    let mut chosen = Vec::new();
    for candidate in seen {
        let named = replay.event_types.as_ref().is_none_or(|patterns| {
            patterns.iter().any(|pattern| pattern.matches(&candidate.event_type))
        });
        let status = candidate.status.as_deref();
        let wanted = match replay.scope {
            Scope::Failed => matches!(status, Some("Failed" | "Held")),
            // What waits or is under way comes without our doing.
            Scope::All => {
                !matches!(status, Some("Pending" | "Sending")) && wish.wants(&candidate.event_type)
            }
        };
        if !named || !wanted {
            continue;
        }
        if let (Some(keys), Some(sealed), Some(filter)) =
            (&keys, &candidate.payload_sealed, &wish.filter)
        {
            let body = keys.open(payload_place(tenant_id, candidate.id), sealed)?;
            let body: Value = serde_json::from_slice(body.expose()).unwrap_or_default();
            if !filter.holds(&body) {
                continue;
            }
        }
        chosen.push(candidate);
    }
    Ok(chosen)
}

/// Makes deliveries due, behind what is new.
async fn requeue(tx: &mut TenantTx, wish: &Wish, chosen: &[&Candidate]) -> Result<(), Error> {
    if chosen.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = chosen.iter().map(|candidate| candidate.id.as_uuid()).collect();
    let keys: Vec<_> = chosen
        .iter()
        .map(|candidate| wish.ordering.lane_key(candidate.ordering_key.as_deref()))
        .collect();
    sqlx::query!(
        "INSERT INTO webhook_deliveries AS deliveries
            (tenant_id, endpoint_id, message_id, status, ordering_key, replayed, next_attempt_at, due, created_at)
        SELECT $1, $2, message_id, 'Pending', ordering_key, true, now(), true, now()
        FROM unnest($3::uuid[], $4::text[]) AS chosen (message_id, ordering_key)
        ON CONFLICT (tenant_id, endpoint_id, message_id) DO UPDATE
        SET status = 'Pending', replayed = true, next_attempt_at = now(), due = true, failures = 0, ended_at = NULL
        WHERE deliveries.status NOT IN ('Pending', 'Sending')",
        tx.tenant_id() as _,
        wish.id as _,
        &ids,
        &keys as _
    )
    .execute(tx.connection())
    .await?;
    wake(tx).await
}
