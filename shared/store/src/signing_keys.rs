//! `signing_keys`: the keys that sign access tokens. The private half is sealed by the vault.

use domain::id::SigningKeyId;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::Value;

use crate::error::Error;
use crate::tenant_tx::{ControlTx, Tx};

/// A signing key.
#[derive(Debug, Clone, PartialEq)]
pub struct SigningKey {
    /// Its id, the `kid` of tokens.
    pub id: SigningKeyId,
    /// The public half (JWK).
    pub public_jwk: Value,
    /// The private half (PKCS #8), sealed.
    pub private_sealed: Vec<u8>,
}

/// Every published key, newest first; the first one that is not retired signs.
///
/// # Errors
/// When the database is gone.
pub async fn list(tx: &mut ControlTx) -> Result<Vec<SigningKey>, Error> {
    let keys = sqlx::query_as!(
        SigningKey,
        "SELECT id, public_jwk, private_sealed FROM signing_keys ORDER BY retired_at NULLS FIRST, id DESC"
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(keys)
}

/// Inserts a key unless there is one that signs; whether it was inserted.
///
/// # Errors
/// When the database is gone.
pub async fn insert_first(
    tx: &mut ControlTx,
    key: &SigningKey,
    now: Timestamp,
) -> Result<bool, Error> {
    sqlx::query!("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE")
        .execute(tx.connection())
        .await?;
    let inserted = sqlx::query!(
        "INSERT INTO signing_keys (id, public_jwk, private_sealed, created_at)
        SELECT $1, $2, $3, $4
        WHERE NOT EXISTS (SELECT FROM signing_keys WHERE retired_at IS NULL)",
        key.id as _,
        key.public_jwk,
        key.private_sealed,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(inserted.rows_affected() == 1)
}
