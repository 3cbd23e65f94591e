//! `tenant_data_keys` and `platform_data_keys`: the vault's data keys, wrapped. Made at first use.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::tenant_tx::{TenantTx, Tx};

/// A wrapped data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedDataKey {
    /// Its version within its owner and purpose.
    pub version: i32,
    /// The key, wrapped by the key-encryption key.
    pub wrapped: Vec<u8>,
}

/// Every version of the tenant's key for `purpose`, newest first.
///
/// # Errors
/// When the database is gone.
pub async fn list_tenant(tx: &mut TenantTx, purpose: &str) -> Result<Vec<WrappedDataKey>, Error> {
    let keys = sqlx::query_as!(
        WrappedDataKey,
        "SELECT version, wrapped FROM tenant_data_keys
        WHERE tenant_id = $1 AND purpose = $2
        ORDER BY version DESC",
        tx.tenant_id() as _,
        purpose
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(keys)
}

/// Inserts a version of the tenant's key, unless another transaction did so first.
///
/// # Errors
/// When the database is gone.
pub async fn insert_tenant(
    tx: &mut TenantTx,
    purpose: &str,
    key: &WrappedDataKey,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO tenant_data_keys (tenant_id, purpose, version, wrapped, created_at)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING",
        tx.tenant_id() as _,
        purpose,
        key.version,
        key.wrapped,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Every version of the platform's key for `purpose`, newest first.
///
/// # Errors
/// When the database is gone.
pub async fn list_platform(tx: &mut impl Tx, purpose: &str) -> Result<Vec<WrappedDataKey>, Error> {
    let keys = sqlx::query_as!(
        WrappedDataKey,
        "SELECT version, wrapped FROM platform_data_keys WHERE purpose = $1 ORDER BY version DESC",
        purpose
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(keys)
}

/// Inserts a version of the platform's key, unless another transaction did so first.
///
/// # Errors
/// When the database is gone.
pub async fn insert_platform(
    tx: &mut impl Tx,
    purpose: &str,
    key: &WrappedDataKey,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO platform_data_keys (purpose, version, wrapped, created_at)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING",
        purpose,
        key.version,
        key.wrapped,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
