//! `webhook_secrets`: what signs an endpoint's messages, sealed; during a rotation the one before, too.

use domain::id::{TenantId, WebhookEndpointId};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;
use vault::{Column, Owner, Place};
use webhooks::signature::SignatureKind;

use crate::error::Error;
use crate::tenant_tx::{TenantTx, Tx};

/// Where a secret is sealed.
const SECRET: Column = Column { table: "webhook_secrets", column: "secret_sealed" };

/// The place of a secret.
#[must_use]
pub const fn secret_place(tenant_id: TenantId, secret_id: Uuid) -> Place {
    Place { owner: Owner::Tenant(tenant_id), column: SECRET, row: secret_id }
}

/// What signs, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// The row, which its place names.
    pub id: Uuid,
    /// What kind.
    pub kind: SignatureKind,
    /// The secret, sealed.
    pub sealed: Vec<u8>,
    /// The public key, where there is one.
    pub public_key: Option<String>,
    /// Signs no more from then on.
    pub expires_at: Option<Timestamp>,
}

/// Inserts the first secret of an endpoint, or the one that follows.
pub(crate) async fn insert(
    tx: &mut TenantTx,
    endpoint_id: WebhookEndpointId,
    secret: &SealedSecret,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO webhook_secrets (tenant_id, endpoint_id, id, kind, secret_sealed, public_key, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)",
        tx.tenant_id() as _,
        endpoint_id as _,
        secret.id,
        secret.kind.as_str(),
        secret.sealed,
        secret.public_key,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// A new secret signs from now on; the one before signs, too, until `overlap_ends`, and those before it no more.
///
/// # Errors
/// `NotFound` when the tenant has none of this id.
pub async fn rotate(
    tx: &mut TenantTx,
    id: WebhookEndpointId,
    secret: &SealedSecret,
    overlap_ends: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    let updated = sqlx::query!(
        "UPDATE webhook_endpoints SET version = version + 1, updated_at = $3, signature = $4
        WHERE tenant_id = $1 AND id = $2 AND status <> 'Deleted'",
        tx.tenant_id() as _,
        id as _,
        now.to_sqlx() as _,
        secret.kind.as_str()
    )
    .execute(tx.connection())
    .await?;
    if updated.rows_affected() == 0 {
        return Err(Error::NotFound);
    }
    sqlx::query!(
        "DELETE FROM webhook_secrets WHERE tenant_id = $1 AND endpoint_id = $2 AND expires_at IS NOT NULL",
        tx.tenant_id() as _,
        id as _
    )
    .execute(tx.connection())
    .await?;
    sqlx::query!(
        "UPDATE webhook_secrets SET expires_at = $3 WHERE tenant_id = $1 AND endpoint_id = $2",
        tx.tenant_id() as _,
        id as _,
        overlap_ends.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    insert(tx, id, secret, now).await
}

/// What signs for an endpoint at `now`: the newest first.
///
/// # Errors
/// When the database is gone.
pub async fn in_force(
    tx: &mut TenantTx,
    id: WebhookEndpointId,
    now: Timestamp,
) -> Result<Vec<SealedSecret>, Error> {
    let rows = sqlx::query!(
        "SELECT id, kind, secret_sealed, public_key, expires_at FROM webhook_secrets
        WHERE tenant_id = $1 AND endpoint_id = $2 AND (expires_at IS NULL OR expires_at > $3)
        ORDER BY created_at DESC",
        tx.tenant_id() as _,
        id as _,
        now.to_sqlx() as _
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(SealedSecret {
                id: row.id,
                kind: row.kind.parse().map_err(|_| Error::Foreign("webhook_secrets.kind"))?,
                sealed: row.secret_sealed,
                public_key: row.public_key,
                expires_at: row.expires_at.map(|at| at.to_jiff()),
            })
        })
        .collect()
}

/// Deletes all that sign for an endpoint.
pub(crate) async fn delete_all(tx: &mut TenantTx, id: WebhookEndpointId) -> Result<(), Error> {
    sqlx::query!(
        "DELETE FROM webhook_secrets WHERE tenant_id = $1 AND endpoint_id = $2",
        tx.tenant_id() as _,
        id as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
