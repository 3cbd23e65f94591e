//! `tenants`: made at sign-up, changed by its admins, closed by its owner.

use domain::host::Subdomain;
use domain::id::TenantId;
use domain::name::TenantName;
use domain::tenant::TenantStatus;
use domain::time_zone::NamedTimeZone;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::tenant_tx::{TenantTx, Tx};

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// What it calls itself.
    pub name: String,
    /// Where it is reached.
    pub subdomain: String,
    /// Where it is in its life.
    pub status: TenantStatus,
    /// As stated at sign-up.
    pub company_size: Option<String>,
    /// As stated at sign-up.
    pub use_case: Option<String>,
    /// IANA name.
    pub time_zone: String,
    /// Whether members need a second factor.
    pub require_two_factor: bool,
    /// Raised by each change; the `ETag`.
    pub version: i64,
    /// When it signed up.
    pub created_at: Timestamp,
}

/// What sign-up knows of a tenant.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// What it calls itself.
    pub name: TenantName,
    /// Where it wants to be reached.
    pub subdomain: Subdomain,
    /// How many people, in the customer's words.
    pub company_size: Option<String>,
    /// What for, in the customer's words.
    pub use_case: Option<String>,
}

/// The settings that a tenant's admins may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantSettings {
    /// What it calls itself.
    pub name: TenantName,
    /// How many people.
    pub company_size: Option<String>,
    /// What for.
    pub use_case: Option<String>,
    /// In whose days and months its periods are counted.
    pub time_zone: NamedTimeZone,
    /// Whether members need a second factor.
    pub require_two_factor: bool,
}

/// Inserts the tenant of `tx`.
///
/// # Errors
/// `Conflict(TenantsSubdomainUnique)` when the subdomain is taken.
pub async fn insert(tx: &mut TenantTx, tenant: &NewTenant, now: Timestamp) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO tenants (id, name, subdomain, status, company_size, use_case, created_at, updated_at)
        VALUES ($1, $2, $3, 'Active', $4, $5, $6, $6)",
        tx.tenant_id() as _,
        tenant.name.as_str(),
        tenant.subdomain.as_str(),
        tenant.company_size,
        tenant.use_case,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The tenant of `tx`.
///
/// # Errors
/// `NotFound` when there is none.
pub async fn get(tx: &mut TenantTx) -> Result<Tenant, Error> {
    let row = sqlx::query!(
        "SELECT id, name, subdomain, status, company_size, use_case, time_zone, require_two_factor, version,
            created_at
        FROM tenants
        WHERE id = $1",
        tx.tenant_id() as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(Tenant {
        id: row.id,
        name: row.name,
        subdomain: row.subdomain,
        status: row.status.parse().map_err(|_| Error::Foreign("tenants.status"))?,
        company_size: row.company_size,
        use_case: row.use_case,
        time_zone: row.time_zone,
        require_two_factor: row.require_two_factor,
        version: row.version,
        created_at: row.created_at.to_jiff(),
    })
}

/// Replaces the settings of a tenant that is still at `version`.
///
/// # Errors
/// `Stale` when it was changed meanwhile.
pub async fn update(
    tx: &mut TenantTx,
    version: i64,
    settings: &TenantSettings,
    now: Timestamp,
) -> Result<(), Error> {
    let changed = sqlx::query!(
        "UPDATE tenants
        SET name = $3, company_size = $4, use_case = $5, time_zone = $6, require_two_factor = $7,
            version = version + 1, updated_at = $8
        WHERE id = $1 AND version = $2",
        tx.tenant_id() as _,
        version,
        settings.name.as_str(),
        settings.company_size,
        settings.use_case,
        settings.time_zone.as_str(),
        settings.require_two_factor,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    if changed.rows_affected() == 1 { Ok(()) } else { Err(Error::Stale) }
}

/// Closes an active tenant; whether it was one.
///
/// # Errors
/// When the database is gone.
pub async fn close(tx: &mut TenantTx, now: Timestamp) -> Result<bool, Error> {
    let changed = sqlx::query!(
        "UPDATE tenants
        SET status = 'Closed', closed_at = $2, updated_at = $2, version = version + 1
        WHERE id = $1 AND status <> 'Closed'",
        tx.tenant_id() as _,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(changed.rows_affected() == 1)
}
