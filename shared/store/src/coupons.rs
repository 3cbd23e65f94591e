//! `coupons`, the catalogue's, and `redeemed_coupons`: those that a tenant has.

use billing::Coupon;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::catalogue::CouponTerms;
use crate::error::Error;
use crate::tenant_tx::{TenantTx, Tx};

/// What came of redeeming a coupon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redeemed {
    /// The tenant has it now.
    Yes(Coupon),
    /// The tenant has, or had, it already.
    Before,
    /// There is none of that code, or none that can be redeemed any more.
    Unknown,
}

/// A coupon that a tenant has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub coupon: Coupon,
    /// For how many invoices more; `None`: for good.
    pub uses_left: Option<u32>,
    /// Since when.
    pub redeemed_at: Timestamp,
}

/// Puts a coupon of the catalogue. Those who have redeemed it keep what they redeemed.
pub(crate) async fn put(
    connection: &mut PgConnection,
    code: &str,
    terms: &CouponTerms,
    now: Timestamp,
) -> Result<(), Error> {
    let most = terms.redemptions_max.map(|most| i32::try_from(most.get()).unwrap_or(i32::MAX));
    sqlx::query!(
        "INSERT INTO coupons (code, discount, duration, expires_at, redemptions_max, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (code) DO UPDATE SET discount = excluded.discount, duration = excluded.duration,
            expires_at = excluded.expires_at,
            redemptions_max = CASE WHEN excluded.redemptions_max IS NOT NULL
                THEN greatest(excluded.redemptions_max, coupons.redemptions) END",
        code,
        Json(terms.discount) as _,
        Json(terms.duration) as _,
        terms.expires_at.map(ToSqlx::to_sqlx) as _,
        most,
        now.to_sqlx() as _
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Redeems a coupon for the tenant of `tx`, once.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn redeem(tx: &mut TenantTx, code: &str, now: Timestamp) -> Result<Redeemed, Error> {
    // Counted first: the coupon's row is locked, so that of the last one there is one.
    let row = sqlx::query!(
        "UPDATE coupons SET redemptions = redemptions + 1
        WHERE code = $1 AND (expires_at IS NULL OR expires_at > $2)
            AND (redemptions_max IS NULL OR redemptions < redemptions_max)
            AND NOT EXISTS (SELECT FROM redeemed_coupons WHERE tenant_id = $3 AND code = $1)
        RETURNING discount, duration",
        code,
        now.to_sqlx() as _,
        tx.tenant_id() as _
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(row) = row else {
        let had = list(tx).await?.iter().any(|held| held.coupon.code == code);
        return Ok(if had { Redeemed::Before } else { Redeemed::Unknown });
    };
    let coupon = Coupon {
        code: code.to_owned(),
        discount: known(row.discount)?,
        duration: known(row.duration)?,
    };
    sqlx::query!(
        "INSERT INTO redeemed_coupons (tenant_id, code, discount, duration, uses_left, redeemed_at)
        VALUES ($1, $2, $3, $4, $5, $6)",
        tx.tenant_id() as _,
        code,
        Json(coupon.discount) as _,
        Json(coupon.duration) as _,
        coupon.duration.uses().map(i32::from),
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(Redeemed::Yes(coupon))
}

/// Every coupon that the tenant has redeemed, in that order, used up or not.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn list(tx: &mut TenantTx) -> Result<Vec<Held>, Error> {
    let rows = sqlx::query!(
        "SELECT code, discount, duration, uses_left, redeemed_at
        FROM redeemed_coupons WHERE tenant_id = $1 ORDER BY redeemed_at, code",
        tx.tenant_id() as _
    )
    .fetch_all(tx.connection())
    .await?;
    let held = rows.into_iter().map(|row| {
        let (discount, duration) = (known(row.discount)?, known(row.duration)?);
        Ok(Held {
            coupon: Coupon { code: row.code, discount, duration },
            uses_left: row.uses_left.map(i32::unsigned_abs),
            redeemed_at: row.redeemed_at.to_jiff(),
        })
    });
    held.collect()
}

/// Uses one time of each of these up.
pub(crate) async fn use_up(tx: &mut TenantTx, codes: &[String]) -> Result<(), Error> {
    if codes.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "UPDATE redeemed_coupons SET uses_left = uses_left - 1
        WHERE tenant_id = $1 AND code = ANY ($2) AND uses_left > 0",
        tx.tenant_id() as _,
        codes
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

fn known<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|_| Error::Foreign("coupons"))
}
