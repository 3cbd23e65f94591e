//! `payment_methods`: the ways to pay that a tenant has on file. What a provider knows one by is sealed, and opened only to
//! charge it.

use domain::id::{PaymentMethodId, TenantId};
use domain::payment::{MethodLabel, ProviderName};
use domain::secret::Secret;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use sqlx::types::Json;
use vault::{Column, Owner, Place, Purpose};

use crate::error::Error;
use crate::sealer::Sealer;
use crate::tenant_tx::{ControlTx, TenantTx, Tx};

/// Where a token is sealed.
const TOKEN: Column = Column { table: "payment_methods", column: "token_sealed" };

/// A way to pay, as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// Its id.
    pub id: PaymentMethodId,
    /// With whom.
    pub provider: ProviderName,
    /// What may be shown of it.
    pub label: MethodLabel,
    /// `Usable`, `NeedsConfirmation` or `Refused`.
    pub state: String,
    /// Where its owner confirms it, while that is needed.
    pub confirm_url: Option<String>,
    /// Whether it is the one that is charged.
    pub is_default: bool,
    /// Since when it is on file.
    pub created_at: Timestamp,
}

/// A way to pay to be kept.
#[derive(Debug)]
pub struct NewMethod<'a> {
    /// The id that it will have.
    pub id: PaymentMethodId,
    /// With whom.
    pub provider: ProviderName,
    /// What the provider knows it by.
    pub token: &'a Secret<String>,
    /// What may be shown of it.
    pub label: &'a MethodLabel,
    /// Where its owner has to confirm it before it can be used.
    pub confirm_url: Option<&'a str>,
}

/// Keeps a way to pay; not as the default.
///
/// # Errors
/// When the database is gone or nothing can be sealed.
pub async fn insert(
    tx: &mut TenantTx,
    sealer: &Sealer,
    method: &NewMethod<'_>,
    now: Timestamp,
) -> Result<(), Error> {
    let sealed = seal(tx, sealer, method.id, method.token, now).await?;
    sqlx::query!(
        "INSERT INTO payment_methods (tenant_id, id, provider, token_sealed, label, state, confirm_url, created_at,
            expires_on)
        VALUES ($1, $2, $3, $4, $5, CASE WHEN $6::text IS NULL THEN 'Usable' ELSE 'NeedsConfirmation' END, $6, $7, $8)",
        tx.tenant_id() as _,
        method.id as _,
        method.provider.as_str(),
        sealed,
        Json(method.label) as _,
        method.confirm_url,
        now.to_sqlx() as _,
        method.label.expires_on.map(ToSqlx::to_sqlx) as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

async fn seal(
    tx: &mut TenantTx,
    sealer: &Sealer,
    id: PaymentMethodId,
    token: &Secret<String>,
    now: Timestamp,
) -> Result<Vec<u8>, Error> {
    let keys = sealer.keys(tx, Purpose::PaymentMethods, now).await?;
    let place = place(tx.tenant_id(), id);
    Ok(keys.seal(place, token.expose().as_bytes(), sealer.entropy())?)
}

const fn place(tenant_id: TenantId, id: PaymentMethodId) -> Place {
    Place { owner: Owner::Tenant(tenant_id), column: TOKEN, row: id.as_uuid() }
}

/// What the provider knows a way to pay by.
///
/// # Errors
/// `NotFound` when the tenant has none of this id; when it cannot be opened.
pub async fn token(
    tx: &mut TenantTx,
    sealer: &Sealer,
    id: PaymentMethodId,
) -> Result<Secret<String>, Error> {
    let sealed = sqlx::query_scalar!(
        "SELECT token_sealed FROM payment_methods WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    let keys = sealer.keys_there(tx, Purpose::PaymentMethods).await?;
    let plain = keys.open(place(tx.tenant_id(), id), &sealed)?;
    let text = String::from_utf8(plain.expose().clone());
    text.map(Secret::new).map_err(|_| Error::Foreign("payment_methods.token_sealed"))
}

/// With whom a way to pay is, or was.
///
/// # Errors
/// `NotFound` when the tenant has had none of this id.
pub async fn provider_of(tx: &mut TenantTx, id: PaymentMethodId) -> Result<ProviderName, Error> {
    let name = sqlx::query_scalar!(
        "SELECT provider FROM payment_methods WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    provider(&name)
}

/// The ways to pay on file, the default first, then the youngest.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn list(tx: &mut TenantTx) -> Result<Vec<Method>, Error> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: PaymentMethodId", provider, label AS "label: Json<MethodLabel>", state, confirm_url,
            is_default, created_at
        FROM payment_methods
        WHERE tenant_id = $1 AND state <> 'Removed'
        ORDER BY is_default DESC, id DESC"#,
        tx.tenant_id() as _
    )
    .fetch_all(tx.connection())
    .await?;
    let methods = rows.into_iter().map(|row| {
        Ok(Method {
            id: row.id,
            provider: provider(&row.provider)?,
            label: row.label.0,
            state: row.state,
            confirm_url: row.confirm_url,
            is_default: row.is_default,
            created_at: row.created_at.to_jiff(),
        })
    });
    methods.collect()
}

/// One of them.
///
/// # Errors
/// `NotFound` when the tenant has none of this id.
pub async fn get(tx: &mut TenantTx, id: PaymentMethodId) -> Result<Method, Error> {
    list(tx).await?.into_iter().find(|method| method.id == id).ok_or(Error::NotFound)
}

/// Makes a way to pay the one that is charged.
///
/// # Errors
/// `NotFound` when there is none of this id that can be used.
pub async fn set_default(tx: &mut TenantTx, id: PaymentMethodId) -> Result<(), Error> {
    // First the one before: at no moment are there two.
    sqlx::query!(
        "UPDATE payment_methods SET is_default = false WHERE tenant_id = $1 AND is_default AND id <> $2",
        tx.tenant_id() as _,
        id as _
    )
    .execute(tx.connection())
    .await?;
    let set = sqlx::query!(
        "UPDATE payment_methods SET is_default = true WHERE tenant_id = $1 AND id = $2 AND state = 'Usable'",
        tx.tenant_id() as _,
        id as _
    )
    .execute(tx.connection())
    .await?;
    if set.rows_affected() == 1 { Ok(()) } else { Err(Error::NotFound) }
}

/// Stores what a way to pay has become, once its owner has confirmed it: what the provider knows it by may be another.
///
/// # Errors
/// When the database is gone or nothing can be sealed.
pub async fn confirm(
    tx: &mut TenantTx,
    sealer: &Sealer,
    method: &NewMethod<'_>,
    now: Timestamp,
) -> Result<(), Error> {
    let sealed = seal(tx, sealer, method.id, method.token, now).await?;
    sqlx::query!(
        "UPDATE payment_methods SET state = 'Usable', confirm_url = NULL, token_sealed = $3, label = $4, expires_on = $5
        WHERE tenant_id = $1 AND id = $2 AND state = 'NeedsConfirmation'",
        tx.tenant_id() as _,
        method.id as _,
        sealed,
        Json(method.label) as _,
        method.label.expires_on.map(ToSqlx::to_sqlx) as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The provider says what is to be shown of a way to pay: a card was renewed, say.
///
/// # Errors
/// When the database is gone.
pub async fn relabel(
    tx: &mut TenantTx,
    id: PaymentMethodId,
    label: &MethodLabel,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE payment_methods SET label = $3, expires_on = $4,
            expiry_noticed = expiry_noticed AND expires_on IS NOT DISTINCT FROM $4
        WHERE tenant_id = $1 AND id = $2 AND state <> 'Removed'",
        tx.tenant_id() as _,
        id as _,
        Json(label) as _,
        label.expires_on.map(ToSqlx::to_sqlx) as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Takes a way to pay off the file. Charges of the past keep it.
///
/// # Errors
/// `NotFound` when the tenant has none of this id.
pub async fn remove(tx: &mut TenantTx, id: PaymentMethodId) -> Result<(), Error> {
    let removed = sqlx::query!(
        "UPDATE payment_methods SET state = 'Removed', is_default = false, confirm_url = NULL
        WHERE tenant_id = $1 AND id = $2 AND state <> 'Removed'",
        tx.tenant_id() as _,
        id as _
    )
    .execute(tx.connection())
    .await?;
    if removed.rows_affected() == 1 { Ok(()) } else { Err(Error::NotFound) }
}

/// How many ways to pay there have ever been.
///
/// # Errors
/// When the database is gone.
pub async fn count(tx: &mut TenantTx) -> Result<u64, Error> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM payment_methods WHERE tenant_id = $1 AND state <> 'Removed'"#,
        tx.tenant_id() as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(count.unsigned_abs())
}

/// Ways to pay that are used and run out by `before`, and whose owners were not told; locked.
///
/// # Errors
/// When the database is gone.
pub async fn lock_expiring(
    tx: &mut ControlTx,
    before: Date,
    count: i32,
) -> Result<Vec<(TenantId, PaymentMethodId)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!: TenantId", payment_method_id AS "id!: PaymentMethodId"
        FROM lock_expiring_methods($1, $2)"#,
        before.to_sqlx() as _,
        count
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(|row| (row.tenant_id, row.id)).collect())
}

/// Marks that its owners were told that it runs out.
///
/// # Errors
/// When the database is gone.
pub async fn note_expiry(tx: &mut TenantTx, id: PaymentMethodId) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE payment_methods SET expiry_noticed = true WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        id as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

pub(crate) fn provider(text: &str) -> Result<ProviderName, Error> {
    text.parse().map_err(|_| Error::Foreign("provider"))
}
