//! `platform_credentials`: of the operator's applications, and of operators. Made and revoked by the schema's owner alone.

use domain::credential::PlatformCredentialKind;
use domain::id::PlatformCredentialId;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::tenant_tx::{ControlTx, Tx};

/// A credential, without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformCredential {
    /// Its id.
    pub id: PlatformCredentialId,
    /// What it is called.
    pub name: String,
    /// The key's last characters.
    pub last_four: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused; `None`: once it is revoked.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Adds a credential whose key has this hash.
///
/// # Errors
/// When the database is gone, or the caller is not the owner.
pub async fn insert(
    tx: &mut ControlTx,
    kind: PlatformCredentialKind,
    credential: &PlatformCredential,
    hash: &[u8; 32],
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO platform_credentials (id, kind, name, hash, last_four, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)",
        credential.id as _,
        kind.as_str(),
        credential.name,
        hash.as_slice(),
        credential.last_four,
        credential.created_at.to_sqlx() as _,
        credential.expires_at.map(ToSqlx::to_sqlx) as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The credential in force whose key has this hash.
///
/// # Errors
/// When the database is gone.
pub async fn find(
    tx: &mut ControlTx,
    kind: PlatformCredentialKind,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<PlatformCredentialId>, Error> {
    let id = sqlx::query_scalar!(
        r#"SELECT id AS "id: PlatformCredentialId" FROM platform_credentials
        WHERE kind = $1 AND hash = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)"#,
        kind.as_str(),
        hash.as_slice(),
        now.to_sqlx() as _
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(id)
}

/// Every credential of a kind, oldest first.
///
/// # Errors
/// When the database is gone.
pub async fn list(
    tx: &mut ControlTx,
    kind: PlatformCredentialKind,
) -> Result<Vec<PlatformCredential>, Error> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: PlatformCredentialId", name, last_four, created_at, expires_at, revoked_at
        FROM platform_credentials WHERE kind = $1 ORDER BY id"#,
        kind.as_str()
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| PlatformCredential {
            id: row.id,
            name: row.name,
            last_four: row.last_four,
            created_at: row.created_at.to_jiff(),
            expires_at: row.expires_at.map(|at| at.to_jiff()),
            revoked_at: row.revoked_at.map(|at| at.to_jiff()),
        })
        .collect())
}

/// Ends a credential; from the next call on it is refused.
///
/// # Errors
/// `NotFound` when there is none of this kind, or it was revoked before.
pub async fn revoke(
    tx: &mut ControlTx,
    kind: PlatformCredentialKind,
    id: PlatformCredentialId,
    now: Timestamp,
) -> Result<(), Error> {
    let revoked = sqlx::query!(
        "UPDATE platform_credentials SET revoked_at = $3
        WHERE kind = $1 AND id = $2 AND revoked_at IS NULL",
        kind.as_str(),
        id as _,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    if revoked.rows_affected() == 1 { Ok(()) } else { Err(Error::NotFound) }
}
