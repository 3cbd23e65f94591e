//! Reads the edge's views: everything, or what became of the entities that the feed names. In one transaction
//! each, so that a policy is always what the database held at one moment.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use credentials::access_token::PublicJwk;
use credentials::api_key::ApiKeyHash;
use domain::id::{SessionId, TenantId, UserId};
use futures::TryStreamExt as _;
use policy::{Change, Policy, Site};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::position::{Position, SnapshotError};
use crate::rows::{ApiKeyRow, MemberRow, TenantRow};

/// Past so many changed entities at once, reading everything is less work.
const CHANGES_MAX: usize = 20_000;

/// The policy could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Postgres is away or refuses.
    #[error("the edge views cannot be read")]
    Database(#[from] sqlx::Error),
    /// Postgres speaks otherwise than expected.
    #[error("the snapshot cannot be understood")]
    Snapshot(#[from] SnapshotError),
    /// Postgres does not answer.
    #[error("Postgres does not answer in time")]
    Silent,
}

/// What became of the entities that changed since a position.
pub(crate) struct Changed {
    /// Their present states.
    pub(crate) changes: Vec<Change>,
    /// The moment that the states are of.
    pub(crate) position: Position,
    /// How long ago each change was written.
    pub(crate) lags: Vec<Duration>,
}

/// Reads the whole policy and its moment.
pub(crate) async fn everything(
    connection: &mut PgConnection,
    site: Arc<Site>,
) -> Result<(Policy, Position), ReadError> {
    let mut tx = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let position = position(&mut tx).await?;
    let mut policy = Policy::new(site);
    let mut tenants = tenants!("").fetch(&mut *tx);
    while let Some(row) = tenants.try_next().await? {
        policy.apply(row.change());
    }
    drop(tenants);
    let mut members = members!("").fetch(&mut *tx);
    while let Some(row) = members.try_next().await? {
        policy.apply(row.change());
    }
    drop(members);
    let mut api_keys = api_keys!("").fetch(&mut *tx);
    while let Some(row) = api_keys.try_next().await? {
        row.change().into_iter().for_each(|change| policy.apply(change));
    }
    drop(api_keys);
    policy.apply(signing_keys(&mut tx).await?);
    let sessions = sqlx::query!(
        r#"SELECT id AS "id!: SessionId", revoked_at AS "revoked_at!: jiff_sqlx::Timestamp"
        FROM edge.revoked_sessions"#
    );
    for row in sessions.fetch_all(&mut *tx).await? {
        policy.apply(Change::RevokedSession(row.id, Some(row.revoked_at.to_jiff())));
    }
    tx.commit().await?;
    Ok((policy, position))
}

/// Reads what changed since `since`; `None` where everything must be read.
pub(crate) async fn changed(
    connection: &mut PgConnection,
    since: &Position,
) -> Result<Option<Changed>, ReadError> {
    let mut tx = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let position = position(&mut tx).await?;
    if !since.leads_to(&position) {
        tracing::warn!("the change feed has a gap; reading everything");
        return Ok(None);
    }
    let mut named = Named::default();
    // Ids commit out of order, so "above the last id" would miss some: what counts is whether the change's
    // transaction was seen. A long transaction keeps the lower bound down, and so delays nobody.
    let rows = sqlx::query!(
        r#"SELECT
            entity AS "entity!",
            tenant_id AS "tenant_id: TenantId",
            entity_id,
            hash,
            max(at) AS "at!: jiff_sqlx::Timestamp",
            greatest(extract(epoch FROM clock_timestamp() - min(at))::float8, 0) AS "lag_seconds!"
        FROM edge.policy_changes
        WHERE xid >= pg_snapshot_xmin($1::text::pg_snapshot)
            AND NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot)
        GROUP BY entity, tenant_id, entity_id, hash"#,
        since.snapshot.as_str()
    )
    .fetch_all(&mut *tx)
    .await?;
    if rows.len() > CHANGES_MAX {
        return Ok(None);
    }
    let mut lags = Vec::with_capacity(rows.len());
    for row in rows {
        lags.push(Duration::try_from_secs_f64(row.lag_seconds).unwrap_or_default());
        match (row.entity.as_str(), row.tenant_id, row.entity_id) {
            ("tenant", Some(tenant), _) => named.tenants.push(tenant),
            ("member", Some(tenant), Some(user)) => {
                named.members.push((tenant, UserId::from_uuid(user)));
            }
            ("api_key", Some(tenant), Some(id)) => {
                named.api_keys.push((tenant, id));
                named.hashes.extend(row.hash.as_deref().and_then(ApiKeyHash::from_slice));
            }
            ("session", _, Some(id)) => {
                // Nobody takes a revocation back, and a session whose row is gone is over, too.
                named.sessions.push((SessionId::from_uuid(id), row.at.to_jiff()));
            }
            ("signing_keys", ..) => named.signing_keys = true,
            // `everything`, or what a later release names.
            _ => return Ok(None),
        }
    }
    let changes = named.read(&mut tx).await?;
    tx.commit().await?;
    Ok(Some(Changed { changes, position, lags }))
}

/// What the feed named.
#[derive(Default)]
struct Named {
    tenants: Vec<TenantId>,
    members: Vec<(TenantId, UserId)>,
    api_keys: Vec<(TenantId, Uuid)>,
    hashes: HashSet<ApiKeyHash>,
    sessions: Vec<(SessionId, jiff::Timestamp)>,
    signing_keys: bool,
}

impl Named {
    /// The present states. What is not found is no more; that comes first, since what is found may have
    /// taken its place.
    async fn read(self, tx: &mut PgConnection) -> Result<Vec<Change>, ReadError> {
        let mut changes: Vec<Change> = Vec::new();
        changes.extend(self.tenants.iter().map(|id| Change::Tenant(*id, None)));
        changes
            .extend(self.members.iter().map(|(tenant, user)| Change::Member(*tenant, *user, None)));
        changes.extend(self.hashes.iter().map(|hash| Change::ApiKey(*hash, None)));
        let mut found: Vec<Change> = Vec::new();
        if !self.tenants.is_empty() {
            let ids: Vec<Uuid> = self.tenants.iter().map(TenantId::as_uuid).collect();
            let rows = tenants!("WHERE id = ANY($1)", &ids).fetch_all(&mut *tx).await?;
            found.extend(rows.into_iter().map(TenantRow::change));
        }
        if !self.members.is_empty() {
            let (tenants, users) = columns(&self.members, UserId::as_uuid);
            let rows = members!(
                "WHERE (tenant_id, user_id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))",
                &tenants,
                &users
            );
            found.extend(rows.fetch_all(&mut *tx).await?.into_iter().map(MemberRow::change));
            // A key may do no more than its creator.
            let rows = api_keys!(
                "WHERE (tenant_id, creator_id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))",
                &tenants,
                &users
            );
            found.extend(rows.fetch_all(&mut *tx).await?.into_iter().filter_map(ApiKeyRow::change));
        }
        if !self.api_keys.is_empty() {
            let (tenants, ids) = columns(&self.api_keys, |id| *id);
            let rows = api_keys!(
                "WHERE (tenant_id, id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))",
                &tenants,
                &ids
            );
            found.extend(rows.fetch_all(&mut *tx).await?.into_iter().filter_map(ApiKeyRow::change));
        }
        if self.signing_keys {
            found.push(signing_keys(tx).await?);
        }
        let sessions = self.sessions.into_iter();
        found.extend(sessions.map(|(id, since)| Change::RevokedSession(id, Some(since))));
        changes.extend(found);
        Ok(changes)
    }
}

fn columns<T>(pairs: &[(TenantId, T)], id: impl Fn(&T) -> Uuid) -> (Vec<Uuid>, Vec<Uuid>) {
    pairs.iter().map(|(tenant, other)| (tenant.as_uuid(), id(other))).unzip()
}

/// The present position.
async fn position(tx: &mut PgConnection) -> Result<Position, ReadError> {
    let row = sqlx::query!(
        r#"SELECT snapshot::text AS "snapshot!", lineage AS "lineage!", forgotten::text AS "forgotten!"
        FROM edge.feed_position"#
    )
    .fetch_one(tx)
    .await?;
    let (snapshot, forgotten) = (row.snapshot.parse()?, row.forgotten.parse()?);
    Ok(Position { snapshot, lineage: row.lineage, forgotten })
}

async fn signing_keys(tx: &mut PgConnection) -> Result<Change, ReadError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id!: Uuid", public_jwk AS "public_jwk!: serde_json::Value"
        FROM edge.signing_keys"#
    )
    .fetch_all(tx)
    .await?;
    let parse = |id: Uuid, jwk| match serde_json::from_value::<PublicJwk>(jwk) {
        Ok(jwk) => Some(jwk),
        Err(error) => {
            tracing::error!(%error, "signing key {id} is malformed; its tokens are refused");
            None
        }
    };
    Ok(Change::SigningKeys(
        rows.into_iter().filter_map(|row| parse(row.id, row.public_jwk)).collect(),
    ))
}
