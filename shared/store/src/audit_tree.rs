//! `audit_unplaced`, `audit_leaves` and `audit_heads`: the places of a tenant's audit events in its tree, and its heads.

use std::collections::HashMap;

use audit_log::{Frontier, Hash, Head, SignedHead};
use domain::id::{AuditEventId, AuditKeyId, TenantId};
use jiff_sqlx::ToSqlx;

use crate::audit_events::{self, AuditEvent};
use crate::error::Error;
use crate::tenant_tx::{ControlTx, TenantTx, Tx};

/// Tenants some of whose events have no place yet, up to `count`.
///
/// # Errors
/// When the database is gone.
pub async fn tenants_with_unplaced(tx: &mut ControlTx, count: i64) -> Result<Vec<TenantId>, Error> {
    let tenants = sqlx::query_scalar!(
        r#"SELECT DISTINCT tenant_id AS "tenant_id: TenantId" FROM audit_unplaced LIMIT $1"#,
        count
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(tenants)
}

/// The tenant's tree as it is. Nobody else lets it grow until the transaction ends.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn lock_tree(tx: &mut TenantTx) -> Result<Frontier, Error> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('audit tree ' || $1::text, 0))",
        tx.tenant_id().to_string()
    )
    .fetch_one(tx.connection())
    .await?;
    let head = sqlx::query!(
        "SELECT size, frontier FROM audit_heads WHERE tenant_id = $1 ORDER BY size DESC LIMIT 1",
        tx.tenant_id() as _
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(head) = head else { return Ok(Frontier::default()) };
    let roots: Option<Vec<_>> = head.frontier.iter().map(|root| Hash::from_bytes(root)).collect();
    let tree = roots.and_then(|roots| Frontier::of(head.size.unsigned_abs(), roots));
    tree.ok_or(Error::Foreign("audit_heads.frontier"))
}

/// Takes what has no place yet, oldest first, up to `count`: each event with its id, or `None` where it is gone already.
///
/// # Errors
/// When the database is gone.
pub async fn take_unplaced(
    tx: &mut TenantTx,
    count: i64,
) -> Result<Vec<(AuditEventId, Option<AuditEvent>)>, Error> {
    let mut ids = sqlx::query_scalar!(
        r#"DELETE FROM audit_unplaced WHERE tenant_id = $1 AND event_id IN (
            SELECT event_id FROM audit_unplaced WHERE tenant_id = $1 ORDER BY event_id LIMIT $2)
        RETURNING event_id AS "event_id: AuditEventId""#,
        tx.tenant_id() as _,
        count
    )
    .fetch_all(tx.connection())
    .await?;
    ids.sort_unstable();
    with_events(tx, ids).await
}

async fn with_events(
    tx: &mut TenantTx,
    ids: Vec<AuditEventId>,
) -> Result<Vec<(AuditEventId, Option<AuditEvent>)>, Error> {
    let wanted: Vec<_> = ids.iter().map(AuditEventId::as_uuid).collect();
    let events = audit_events::of_ids(tx, &wanted).await?;
    let mut events: HashMap<_, _> = events.into_iter().map(|event| (event.id, event)).collect();
    Ok(ids.into_iter().map(|id| (id, events.remove(&id))).collect())
}

/// Gives events their places, from `first` on, and keeps the head that is signed of them.
///
/// # Errors
/// When the database is gone.
pub async fn append(
    tx: &mut TenantTx,
    first: u64,
    leaves: &[(AuditEventId, Hash)],
    tree: &Frontier,
    signed: &SignedHead,
) -> Result<(), Error> {
    let ids: Vec<_> = leaves.iter().map(|(id, _)| id.as_uuid()).collect();
    let hashes: Vec<_> = leaves.iter().map(|(_, hash)| hash.as_bytes().to_vec()).collect();
    sqlx::query!(
        "INSERT INTO audit_leaves (tenant_id, position, event_id, hash)
        SELECT $1, $2 + place - 1, event_id, hash
        FROM unnest($3::uuid[], $4::bytea[]) WITH ORDINALITY AS leaf (event_id, hash, place)",
        tx.tenant_id() as _,
        stored(first)?,
        &ids,
        &hashes
    )
    .execute(tx.connection())
    .await?;
    let frontier: Vec<_> = tree.roots().iter().map(|root| root.as_bytes().to_vec()).collect();
    sqlx::query!(
        "INSERT INTO audit_heads (tenant_id, size, root, frontier, at, key_id, signature)
        VALUES ($1, $2, $3, $4, $5, $6, $7)",
        tx.tenant_id() as _,
        stored(signed.head.size)?,
        signed.head.root.as_bytes().as_slice(),
        &frontier,
        signed.head.at.to_sqlx() as _,
        signed.key_id as _,
        signed.signature
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

fn stored(number: u64) -> Result<i64, Error> {
    i64::try_from(number).map_err(|_| Error::Foreign("audit_leaves.position"))
}

/// A place in the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// Which, from 0.
    pub position: u64,
    /// The hash of the event as it was when it got its place.
    pub hash: Hash,
    /// Its event, if it is there.
    pub event: Option<AuditEvent>,
}

/// A page of places, from `position` on.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn leaves(tx: &mut TenantTx, position: u64, count: i64) -> Result<Vec<Leaf>, Error> {
    let rows = sqlx::query!(
        r#"SELECT position, hash, event_id AS "event_id: AuditEventId" FROM audit_leaves
        WHERE tenant_id = $1 AND position >= $2 ORDER BY position LIMIT $3"#,
        tx.tenant_id() as _,
        stored(position)?,
        count
    )
    .fetch_all(tx.connection())
    .await?;
    let ids = rows.iter().map(|row| row.event_id).collect();
    let events = with_events(tx, ids).await?;
    let leaves = rows.iter().zip(events).map(|(row, (_, event))| {
        let hash = Hash::from_bytes(&row.hash).ok_or(Error::Foreign("audit_leaves.hash"))?;
        Ok(Leaf { position: row.position.unsigned_abs(), hash, event })
    });
    leaves.collect()
}

/// The heads of the tenant's tree of more than `size` events, smallest first, up to `count`.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn heads(tx: &mut TenantTx, size: u64, count: i64) -> Result<Vec<SignedHead>, Error> {
    let rows = sqlx::query!(
        r#"SELECT size, root, at, key_id AS "key_id: AuditKeyId", signature FROM audit_heads
        WHERE tenant_id = $1 AND size > $2 ORDER BY size LIMIT $3"#,
        tx.tenant_id() as _,
        stored(size)?,
        count
    )
    .fetch_all(tx.connection())
    .await?;
    let tenant_id = tx.tenant_id();
    let heads = rows.into_iter().map(|row| {
        let root = Hash::from_bytes(&row.root).ok_or(Error::Foreign("audit_heads.root"))?;
        let head = Head { tenant_id, size: row.size.unsigned_abs(), root, at: row.at.to_jiff() };
        Ok(SignedHead { head, key_id: row.key_id, signature: row.signature })
    });
    heads.collect()
}

/// How far the tenant's trail has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Of how many events the newest head is.
    pub signed: u64,
    /// How many have places.
    pub placed: u64,
}

/// How far the tenant's trail has come.
///
/// # Errors
/// When the database is gone.
pub async fn extent(tx: &mut TenantTx) -> Result<Extent, Error> {
    let row = sqlx::query!(
        r#"SELECT coalesce((SELECT max(size) FROM audit_heads WHERE tenant_id = $1), 0) AS "signed!",
            coalesce((SELECT max(position) + 1 FROM audit_leaves WHERE tenant_id = $1), 0) AS "placed!""#,
        tx.tenant_id() as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(Extent { signed: row.signed.unsigned_abs(), placed: row.placed.unsigned_abs() })
}

/// An event that was written past the tree: it has no place, and does not wait for one.
///
/// # Errors
/// When the database is gone.
pub async fn unlisted(tx: &mut TenantTx) -> Result<Option<AuditEventId>, Error> {
    let id = sqlx::query_scalar!(
        r#"SELECT id AS "id: AuditEventId" FROM audit_events
        WHERE tenant_id = $1
            AND NOT EXISTS (SELECT FROM audit_leaves WHERE audit_leaves.tenant_id = $1 AND event_id = audit_events.id)
            AND NOT EXISTS (SELECT FROM audit_unplaced WHERE audit_unplaced.tenant_id = $1 AND event_id = audit_events.id)
        ORDER BY id LIMIT 1"#,
        tx.tenant_id() as _
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(id)
}
