//! `billing_profiles`: whom invoices are made out to. Read by [`crate::billing::account::recipient`].

use billing::Recipient;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::tenant_tx::{TenantTx, Tx};

/// Which state of the profile there is; 0 before the first.
///
/// # Errors
/// When the database is gone.
pub async fn version(tx: &mut TenantTx) -> Result<i64, Error> {
    let version = sqlx::query_scalar!(
        "SELECT version FROM billing_profiles WHERE tenant_id = $1",
        tx.tenant_id() as _
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(version.unwrap_or(0))
}

/// Puts the profile in place of the one of `version`; whether the tenant pays tax stays as operators have set it.
///
/// # Errors
/// `Stale` when it is of another version by now.
pub async fn put(
    tx: &mut TenantTx,
    profile: &Recipient,
    version: i64,
    now: Timestamp,
) -> Result<(), Error> {
    let put = sqlx::query!(
        "INSERT INTO billing_profiles AS known (tenant_id, name, email, address, postal_code, city, country, region,
            tax_id, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (tenant_id) DO UPDATE SET name = excluded.name, email = excluded.email,
            address = excluded.address, postal_code = excluded.postal_code, city = excluded.city,
            country = excluded.country, region = excluded.region, tax_id = excluded.tax_id,
            updated_at = excluded.updated_at, version = known.version + 1
        WHERE known.version = $11",
        tx.tenant_id() as _,
        profile.name,
        profile.email,
        &profile.address,
        profile.postal_code,
        profile.city,
        profile.country.map(|country| country.to_string()),
        profile.region,
        profile.tax_id.as_ref().map(ToString::to_string),
        now.to_sqlx() as _,
        version
    )
    .execute(tx.connection())
    .await?;
    if put.rows_affected() == 1 { Ok(()) } else { Err(Error::Stale) }
}

/// An operator has seen whether the tenant pays tax.
///
/// # Errors
/// When the database is gone.
pub async fn set_tax_exempt(tx: &mut TenantTx, exempt: bool, now: Timestamp) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO billing_profiles AS known (tenant_id, name, tax_exempt, updated_at)
        SELECT id, name, $2, $3 FROM tenants WHERE id = $1
        ON CONFLICT (tenant_id) DO UPDATE SET tax_exempt = excluded.tax_exempt, updated_at = excluded.updated_at,
            version = known.version + 1",
        tx.tenant_id() as _,
        exempt,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
