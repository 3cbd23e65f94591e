//! `ip_allowlists`: the networks that may call for a tenant; none listed means every one may.

use ipnet::IpNet;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::tenant_tx::{TenantTx, Tx};

/// A tenant's list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IpAllowlist {
    /// The networks.
    pub networks: Vec<IpNet>,
    /// Raised by each change, 0 before the first; the `ETag`.
    pub version: i64,
}

/// The tenant's list, empty if it never had one.
///
/// # Errors
/// When the database is gone.
pub async fn get(tx: &mut TenantTx) -> Result<IpAllowlist, Error> {
    let row = sqlx::query!(
        r#"SELECT networks AS "networks: Vec<IpNet>", version FROM ip_allowlists WHERE tenant_id = $1"#,
        tx.tenant_id() as _
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(row
        .map(|row| IpAllowlist { networks: row.networks, version: row.version })
        .unwrap_or_default())
}

/// Replaces a list that is still at `version`; the new version.
///
/// # Errors
/// `Stale` when it was changed meanwhile.
pub async fn replace(
    tx: &mut TenantTx,
    version: i64,
    networks: &[IpNet],
    now: Timestamp,
) -> Result<i64, Error> {
    sqlx::query_scalar!(
        "INSERT INTO ip_allowlists (tenant_id, networks, version, updated_at)
        SELECT $1, $2, 1, $3
        ON CONFLICT (tenant_id) DO UPDATE
        SET networks = $2, version = ip_allowlists.version + 1, updated_at = $3
        WHERE ip_allowlists.version = $4
        RETURNING version",
        tx.tenant_id() as _,
        networks as _,
        now.to_sqlx() as _,
        version
    )
    .fetch_optional(tx.connection())
    .await?
    .ok_or(Error::Stale)
}
