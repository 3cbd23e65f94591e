//! `api_keys`: never the key, only its keyed hash.

use domain::id::{ApiKeyId, MembershipId};
use domain::permission::Scope;
use ipnet::IpNet;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::page::{Page, Rows};
use crate::tenant_tx::{TenantTx, Tx};

/// An API key's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// Its id.
    pub id: ApiKeyId,
    /// What it is for.
    pub name: String,
    /// The key's last four characters.
    pub last_four: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Calls a minute, beside the plan's.
    pub rate_limit: Option<u32>,
    /// Networks that may use it; none listed means all that the tenant allows.
    pub networks: Vec<IpNet>,
    /// Who created it.
    pub created_by: MembershipId,
    /// When.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was deleted.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, to the minute; as the usage pipeline knows it, some seconds late.
    pub last_used_at: Option<Timestamp>,
}

/// Inserts a key's record under the keyed hash of the key.
///
/// # Errors
/// When the database is gone.
pub async fn insert(tx: &mut TenantTx, key: &ApiKeyRecord, hash: &[u8; 32]) -> Result<(), Error> {
    let scopes: Vec<String> = key.scopes.iter().map(ToString::to_string).collect();
    sqlx::query!(
        "INSERT INTO api_keys (tenant_id, id, name, hash, last_four, scopes, rate_limit, networks,
            created_by, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        tx.tenant_id() as _,
        key.id as _,
        key.name,
        hash.as_slice(),
        key.last_four,
        &scopes,
        key.rate_limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX)),
        key.networks.as_slice() as _,
        key.created_by as _,
        key.created_at.to_sqlx() as _,
        key.expires_at.map(ToSqlx::to_sqlx) as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

struct Row {
    id: ApiKeyId,
    name: String,
    last_four: String,
    scopes: Vec<String>,
    rate_limit: Option<i32>,
    networks: Vec<IpNet>,
    created_by: MembershipId,
    created_at: jiff_sqlx::Timestamp,
    expires_at: Option<jiff_sqlx::Timestamp>,
    revoked_at: Option<jiff_sqlx::Timestamp>,
    last_used_at: Option<jiff_sqlx::Timestamp>,
}

impl From<Row> for ApiKeyRecord {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: row.name,
            last_four: row.last_four,
            // A scope that this release does not know gives nothing.
            scopes: row.scopes.iter().filter_map(|name| name.parse().ok()).collect(),
            rate_limit: row.rate_limit.map(i32::unsigned_abs),
            networks: row.networks,
            created_by: row.created_by,
            created_at: row.created_at.to_jiff(),
            expires_at: row.expires_at.map(|at| at.to_jiff()),
            revoked_at: row.revoked_at.map(|at| at.to_jiff()),
            last_used_at: row.last_used_at.map(|at| at.to_jiff()),
        }
    }
}

/// The key with this id, deleted ones included.
///
/// # Errors
/// `NotFound` when there is none in this tenant.
pub async fn get(tx: &mut TenantTx, id: ApiKeyId) -> Result<ApiKeyRecord, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, name, last_four, scopes, rate_limit, networks AS "networks: Vec<IpNet>", created_by,
            created_at, expires_at, revoked_at,
            (SELECT last_used_at FROM api_key_uses AS uses
            WHERE uses.tenant_id = api_keys.tenant_id AND uses.api_key_id = api_keys.id) AS last_used_at
        FROM api_keys
        WHERE tenant_id = $1 AND id = $2"#,
        tx.tenant_id() as _,
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(row.into())
}

/// As [`get`], and nobody else changes it until the transaction ends.
///
/// # Errors
/// `NotFound` when there is none in this tenant.
pub async fn get_for_update(tx: &mut TenantTx, id: ApiKeyId) -> Result<ApiKeyRecord, Error> {
    sqlx::query!(
        "SELECT id FROM api_keys WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
        tx.tenant_id() as _,
        id as _
    )
    .fetch_optional(tx.connection())
    .await?;
    get(tx, id).await
}

/// A key ends by itself at a time.
///
/// # Errors
/// When the database is gone.
pub async fn end_at(tx: &mut TenantTx, id: ApiKeyId, at: Timestamp) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE api_keys SET expires_at = $3 WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        id as _,
        at.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// A page of the tenant's keys that were not deleted, newest first.
///
/// # Errors
/// When the database is gone.
pub async fn list(tx: &mut TenantTx, page: Page) -> Result<Rows<ApiKeyRecord>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, name, last_four, scopes, rate_limit, networks AS "networks: Vec<IpNet>", created_by,
            created_at, expires_at, revoked_at,
            (SELECT last_used_at FROM api_key_uses AS uses
            WHERE uses.tenant_id = api_keys.tenant_id AND uses.api_key_id = api_keys.id) AS last_used_at
        FROM api_keys
        WHERE tenant_id = $1 AND revoked_at IS NULL AND ($2::uuid IS NULL OR id < $2)
        ORDER BY id DESC
        LIMIT $3"#,
        tx.tenant_id() as _,
        page.after,
        page.limit.probe()
    )
    .fetch_all(tx.connection())
    .await?;
    let keys = rows.into_iter().map(ApiKeyRecord::from).collect();
    Ok(Rows::cut(keys, page.limit, |key: &ApiKeyRecord| key.id.as_uuid()))
}

/// The tenant's keys in force that have a limit of their own, newest first: at most `most`.
///
/// # Errors
/// When the database is gone.
pub async fn limited(tx: &mut TenantTx, most: u32) -> Result<Vec<(ApiKeyId, u32)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: ApiKeyId", rate_limit AS "rate_limit!"
        FROM api_keys
        WHERE tenant_id = $1 AND revoked_at IS NULL AND rate_limit IS NOT NULL
        ORDER BY id DESC
        LIMIT $2"#,
        tx.tenant_id() as _,
        i64::from(most)
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.rate_limit.unsigned_abs())).collect())
}

/// Deletes a key: its record stays, so that its callers are told "revoked".
///
/// # Errors
/// `NotFound` when there is none in this tenant that is in force.
pub async fn revoke(tx: &mut TenantTx, id: ApiKeyId, now: Timestamp) -> Result<(), Error> {
    let changed = sqlx::query!(
        "UPDATE api_keys SET revoked_at = $3 WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL",
        tx.tenant_id() as _,
        id as _,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    if changed.rows_affected() == 1 { Ok(()) } else { Err(Error::NotFound) }
}

/// Deletes every key that `creator` made; how many.
///
/// # Errors
/// When the database is gone.
pub async fn revoke_created_by(
    tx: &mut TenantTx,
    creator: MembershipId,
    now: Timestamp,
) -> Result<u64, Error> {
    let changed = sqlx::query!(
        "UPDATE api_keys SET revoked_at = $3
        WHERE tenant_id = $1 AND created_by = $2 AND revoked_at IS NULL",
        tx.tenant_id() as _,
        creator as _,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(changed.rows_affected())
}
