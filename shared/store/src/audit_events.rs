//! `audit_events`: one for each change, in the change's own transaction; never updated, never deleted.

use std::net::IpAddr;

use audit_log::Entry;
use domain::event::{Action, ActorKind};
use domain::id::{AuditEventId, RequestId};
use ipnet::IpNet;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::Value;
use uuid::Uuid;

use crate::error::Error;
use crate::page::{Page, Rows};
use crate::tenant_tx::{TenantTx, Tx};

/// Who did it, from where, on which request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// What kind of actor.
    pub kind: ActorKind,
    /// Their id, where they have one.
    pub id: Option<String>,
    /// The caller's address.
    pub address: Option<IpAddr>,
    /// The request.
    pub request_id: Option<RequestId>,
}

/// What was done, and to what.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAuditEvent {
    /// Its id.
    pub id: AuditEventId,
    /// When.
    pub at: Timestamp,
    /// What was done.
    pub action: Action,
    /// The id of what it was done to.
    pub target: String,
    /// Before and after, without secrets.
    pub changes: Value,
}

/// An event of the trail.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEvent {
    /// Its id.
    pub id: AuditEventId,
    /// When.
    pub at: Timestamp,
    /// What kind of actor.
    pub actor_kind: String,
    /// The actor's id.
    pub actor_id: Option<String>,
    /// What was done.
    pub action: String,
    /// The id of what it was done to.
    pub target: String,
    /// Before and after.
    pub changes: Value,
    /// The caller's address.
    pub address: Option<IpAddr>,
    /// The request.
    pub request_id: Option<String>,
}

/// Which events are wanted; a filter that is `None` lets all through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// This action only.
    pub action: Option<String>,
    /// This actor's only.
    pub actor_id: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
}

/// Records an event of the tenant of `tx`.
///
/// # Errors
/// When the database is gone.
pub async fn record(tx: &mut TenantTx, actor: &Actor, event: &NewAuditEvent) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO audit_events
            (tenant_id, id, at, actor_kind, actor_id, action, target, changes, address, request_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        tx.tenant_id() as _,
        event.id as _,
        event.at.to_sqlx() as _,
        actor.kind.as_str(),
        actor.id,
        event.action.as_str(),
        event.target,
        event.changes,
        actor.address.map(IpNet::from) as _,
        actor.request_id.map(|id| id.to_string())
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// A row of the table.
struct Row {
    id: AuditEventId,
    at: jiff_sqlx::Timestamp,
    actor_kind: String,
    actor_id: Option<String>,
    action: String,
    target: String,
    changes: Value,
    address: Option<IpNet>,
    request_id: Option<String>,
}

impl From<Row> for AuditEvent {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            at: row.at.to_jiff(),
            actor_kind: row.actor_kind,
            actor_id: row.actor_id,
            action: row.action,
            target: row.target,
            changes: row.changes,
            address: row.address.map(|network| network.addr()),
            request_id: row.request_id,
        }
    }
}

impl AuditEvent {
    /// In the form that is hashed and exported.
    #[must_use]
    pub fn entry(&self) -> Entry<'_> {
        Entry {
            id: self.id,
            at: self.at,
            actor_kind: &self.actor_kind,
            actor_id: self.actor_id.as_deref(),
            action: &self.action,
            target: &self.target,
            changes: &self.changes,
            address: self.address,
            request_id: self.request_id.as_deref(),
        }
    }
}

/// Those of the tenant's events with these ids, oldest first.
pub(crate) async fn of_ids(tx: &mut TenantTx, ids: &[Uuid]) -> Result<Vec<AuditEvent>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id AS "id: AuditEventId", at AS "at: jiff_sqlx::Timestamp", actor_kind, actor_id, action, target, changes,
            address AS "address: IpNet", request_id
        FROM audit_events WHERE tenant_id = $1 AND id = ANY ($2) ORDER BY id"#,
        tx.tenant_id() as _,
        ids
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(AuditEvent::from).collect())
}

/// A page of the tenant's events, newest first.
///
/// # Errors
/// When the database is gone.
pub async fn list(
    tx: &mut TenantTx,
    filter: &AuditFilter,
    page: Page,
) -> Result<Rows<AuditEvent>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id AS "id: AuditEventId", at AS "at: jiff_sqlx::Timestamp", actor_kind, actor_id, action, target, changes,
            address AS "address: IpNet", request_id
        FROM audit_events
        WHERE tenant_id = $1
            AND ($2::uuid IS NULL OR id < $2)
            AND ($3::text IS NULL OR action = $3)
            AND ($4::text IS NULL OR actor_id = $4)
            AND ($5::timestamptz IS NULL OR at >= $5)
            AND ($6::timestamptz IS NULL OR at < $6)
        ORDER BY id DESC
        LIMIT $7"#,
        tx.tenant_id() as _,
        page.after,
        filter.action,
        filter.actor_id,
        filter.from.map(ToSqlx::to_sqlx) as _,
        filter.to.map(ToSqlx::to_sqlx) as _,
        page.limit.probe()
    )
    .fetch_all(tx.connection())
    .await?;
    let events = rows.into_iter().map(AuditEvent::from).collect();
    Ok(Rows::cut(events, page.limit, |event: &AuditEvent| event.id.as_uuid()))
}
