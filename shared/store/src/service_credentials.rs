//! `service_credentials`: of the operator's applications. Made and revoked by the schema's owner alone.

use domain::id::ServiceCredentialId;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::tenant_tx::{ControlTx, Tx};

/// A credential, without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCredential {
    /// Its id.
    pub id: ServiceCredentialId,
    /// What the operator calls it.
    pub name: String,
    /// The key's last characters.
    pub last_four: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Adds a credential whose key has this hash.
///
/// # Errors
/// When the database is gone, or the caller is not the owner.
pub async fn insert(
    tx: &mut ControlTx,
    credential: &ServiceCredential,
    hash: &[u8; 32],
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO service_credentials (id, name, hash, last_four, created_at)
        VALUES ($1, $2, $3, $4, $5)",
        credential.id as _,
        credential.name,
        hash.as_slice(),
        credential.last_four,
        credential.created_at.to_sqlx() as _
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
    hash: &[u8; 32],
) -> Result<Option<ServiceCredentialId>, Error> {
    let id = sqlx::query_scalar!(
        r#"SELECT id AS "id: ServiceCredentialId" FROM service_credentials
        WHERE hash = $1 AND revoked_at IS NULL"#,
        hash.as_slice()
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(id)
}

/// Every credential, oldest first.
///
/// # Errors
/// When the database is gone.
pub async fn list(tx: &mut ControlTx) -> Result<Vec<ServiceCredential>, Error> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: ServiceCredentialId", name, last_four, created_at, revoked_at
        FROM service_credentials ORDER BY id"#
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ServiceCredential {
            id: row.id,
            name: row.name,
            last_four: row.last_four,
            created_at: row.created_at.to_jiff(),
            revoked_at: row.revoked_at.map(|at| at.to_jiff()),
        })
        .collect())
}

/// Ends a credential; from the next call on it is refused.
///
/// # Errors
/// `NotFound` when there is none, or it was revoked before.
pub async fn revoke(
    tx: &mut ControlTx,
    id: ServiceCredentialId,
    now: Timestamp,
) -> Result<(), Error> {
    let revoked = sqlx::query!(
        "UPDATE service_credentials SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL",
        id as _,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    if revoked.rows_affected() == 1 { Ok(()) } else { Err(Error::NotFound) }
}
