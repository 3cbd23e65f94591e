//! `sessions` and `refresh_tokens`: signed-in devices, and the rotating tokens that keep them signed in.

use std::net::IpAddr;

use domain::id::{SessionId, TenantId, UserId};
use ipnet::IpNet;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::tenant_tx::{ControlTx, Tx};

/// A signed-in device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// Set: good for this tenant only.
    pub tenant_id: Option<TenantId>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub last_used_at: Timestamp,
    /// When it ends unless it is refreshed.
    pub expires_at: Timestamp,
    /// When it was ended.
    pub revoked_at: Option<Timestamp>,
    /// From where it was begun.
    pub address: Option<IpAddr>,
    /// By which program.
    pub user_agent: Option<String>,
}

/// A refresh token, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRefreshToken {
    /// Its session.
    pub session_id: SessionId,
    /// When it was exchanged for its successor.
    pub rotated_at: Option<Timestamp>,
    /// The successor, sealed under a key that only the token yields.
    pub successor_sealed: Option<Vec<u8>>,
}

/// Whether a person was here before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// At all.
    pub any: bool,
    /// From the network in question, lately.
    pub from_network: bool,
}

/// Whether a person was here before, and from `network` since `since`.
///
/// # Errors
/// When the database is gone.
pub async fn before(
    tx: &mut impl Tx,
    user_id: UserId,
    network: IpNet,
    since: Timestamp,
) -> Result<Before, Error> {
    let before = sqlx::query_as!(
        Before,
        r#"SELECT
            count(*) > 0 AS "any!",
            coalesce(bool_or(address <<= $2 AND last_used_at >= $3), false) AS "from_network!"
        FROM sessions
        WHERE user_id = $1"#,
        user_id as _,
        network as _,
        since.to_sqlx() as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(before)
}

/// Inserts a session.
///
/// # Errors
/// When the database is gone.
pub async fn insert(tx: &mut impl Tx, session: &Session) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO sessions (id, user_id, tenant_id, created_at, last_used_at, expires_at, address,
            user_agent)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        session.id as _,
        session.user_id as _,
        session.tenant_id as _,
        session.created_at.to_sqlx() as _,
        session.last_used_at.to_sqlx() as _,
        session.expires_at.to_sqlx() as _,
        session.address.map(IpNet::from) as _,
        session.user_agent
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The session with this id.
///
/// # Errors
/// `NotFound` when there is none.
pub async fn get(tx: &mut ControlTx, id: SessionId) -> Result<Session, Error> {
    let row = sqlx::query!(
        r#"SELECT id, user_id, tenant_id, created_at, last_used_at, expires_at, revoked_at,
            address AS "address: IpNet", user_agent
        FROM sessions
        WHERE id = $1"#,
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(Session {
        id: row.id,
        user_id: row.user_id,
        tenant_id: row.tenant_id,
        created_at: row.created_at.to_jiff(),
        last_used_at: row.last_used_at.to_jiff(),
        expires_at: row.expires_at.to_jiff(),
        revoked_at: row.revoked_at.map(|at| at.to_jiff()),
        address: row.address.map(|network| network.addr()),
        user_agent: row.user_agent,
    })
}

/// The sessions of `user_id` that are in force at `now`, newest first.
///
/// # Errors
/// When the database is gone.
pub async fn list(
    tx: &mut ControlTx,
    user_id: UserId,
    now: Timestamp,
) -> Result<Vec<Session>, Error> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM sessions
        WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2
        ORDER BY id DESC
        LIMIT 100",
        user_id as _,
        now.to_sqlx() as _
    )
    .fetch_all(tx.connection())
    .await?;
    let mut sessions = Vec::with_capacity(ids.len());
    for id in ids {
        sessions.push(get(tx, id).await?);
    }
    Ok(sessions)
}

/// Ends a session of `user_id`; whether it was in force.
///
/// # Errors
/// When the database is gone.
pub async fn revoke(
    tx: &mut impl Tx,
    user_id: UserId,
    id: SessionId,
    now: Timestamp,
) -> Result<bool, Error> {
    let changed = sqlx::query!(
        "UPDATE sessions SET revoked_at = $3 WHERE user_id = $1 AND id = $2 AND revoked_at IS NULL",
        user_id as _,
        id as _,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// Ends every session of `user_id`.
///
/// # Errors
/// When the database is gone.
pub async fn revoke_all(tx: &mut impl Tx, user_id: UserId, now: Timestamp) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL",
        user_id as _,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Notes that a session was used and lives on until `expires_at`.
///
/// # Errors
/// When the database is gone.
pub async fn extend(
    tx: &mut ControlTx,
    id: SessionId,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE sessions SET last_used_at = $2, expires_at = $3 WHERE id = $1",
        id as _,
        now.to_sqlx() as _,
        expires_at.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Stores the hash of a new refresh token.
///
/// # Errors
/// When the database is gone.
pub async fn insert_refresh_token(
    tx: &mut impl Tx,
    session_id: SessionId,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO refresh_tokens (hash, session_id, created_at) VALUES ($1, $2, $3)",
        hash.as_slice(),
        session_id as _,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The token with this hash; nobody else rotates it until the transaction ends.
///
/// # Errors
/// `NotFound` when there is none.
pub async fn refresh_token_for_update(
    tx: &mut ControlTx,
    hash: &[u8; 32],
) -> Result<StoredRefreshToken, Error> {
    let row = sqlx::query!(
        "SELECT session_id, rotated_at, successor_sealed FROM refresh_tokens WHERE hash = $1 FOR UPDATE",
        hash.as_slice()
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(StoredRefreshToken {
        session_id: row.session_id,
        rotated_at: row.rotated_at.map(|at| at.to_jiff()),
        successor_sealed: row.successor_sealed,
    })
}

/// Marks a token as exchanged.
///
/// # Errors
/// `Stale` when it was exchanged meanwhile.
pub async fn rotate(
    tx: &mut ControlTx,
    hash: &[u8; 32],
    successor_sealed: &[u8],
    now: Timestamp,
) -> Result<(), Error> {
    let changed = sqlx::query!(
        "UPDATE refresh_tokens
        SET rotated_at = $2, successor_sealed = $3
        WHERE hash = $1 AND rotated_at IS NULL",
        hash.as_slice(),
        now.to_sqlx() as _,
        successor_sealed
    )
    .execute(tx.connection())
    .await?;
    if changed.rows_affected() == 1 { Ok(()) } else { Err(Error::Stale) }
}
