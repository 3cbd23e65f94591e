//! `audit_keys`: what signs the heads of audit trails. A control table; the newest signs, all verify.

use audit_log::{HeadKey, HeadKeyError};
use domain::id::AuditKeyId;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use vault::Column;

use crate::error::Error;
use crate::tenant_tx::{ControlTx, Tx};

/// Where the private half is sealed.
pub const COLUMN: Column = Column { table: "audit_keys", column: "private_sealed" };

/// A key with its private half, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// Its id.
    pub id: AuditKeyId,
    /// The private half (PKCS #8), sealed.
    pub private_sealed: Vec<u8>,
}

/// The key that signs. `None`: `pytake-api migrate` has not made one.
///
/// # Errors
/// When the database is gone.
pub async fn newest(tx: &mut impl Tx) -> Result<Option<SealedKey>, Error> {
    let key = sqlx::query_as!(
        SealedKey,
        r#"SELECT id AS "id: AuditKeyId", private_sealed FROM audit_keys ORDER BY id DESC LIMIT 1"#
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(key)
}

/// The public halves of all keys, newest first.
///
/// # Errors
/// When the database is gone or holds no keys of this form.
pub async fn public(tx: &mut impl Tx) -> Result<Vec<HeadKey>, Error> {
    let rows =
        sqlx::query!(r#"SELECT id AS "id: AuditKeyId", public FROM audit_keys ORDER BY id DESC"#)
            .fetch_all(tx.connection())
            .await?;
    let key = |id, public: &[u8]| {
        HeadKey::of(id, public).map_err(|HeadKeyError| Error::Foreign("audit_keys.public"))
    };
    rows.iter().map(|row| key(row.id, &row.public)).collect()
}

/// Inserts a key unless there is one.
///
/// # Errors
/// When the database is gone.
pub async fn insert_first(
    tx: &mut ControlTx,
    key: &HeadKey,
    private_sealed: &[u8],
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!("LOCK TABLE audit_keys IN SHARE ROW EXCLUSIVE MODE")
        .execute(tx.connection())
        .await?;
    sqlx::query!(
        "INSERT INTO audit_keys (id, public, private_sealed, created_at)
        SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT FROM audit_keys)",
        key.id() as _,
        key.public().as_slice(),
        private_sealed,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
