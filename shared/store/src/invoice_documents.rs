//! `invoice_documents`: invoices and credit notes as PDF, as they were rendered once.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use crate::error::Error;
use crate::tenant_tx::{TenantTx, Tx};

/// The document of an invoice or credit note; `None` until it is rendered.
///
/// # Errors
/// When the database is gone.
pub async fn get(tx: &mut TenantTx, id: Uuid) -> Result<Option<Vec<u8>>, Error> {
    let pdf = sqlx::query_scalar!(
        "SELECT pdf FROM invoice_documents WHERE tenant_id = $1 AND document_id = $2",
        tx.tenant_id() as _,
        id
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(pdf)
}

/// Keeps a document with its SHA-256, once.
///
/// # Errors
/// When the database is gone.
pub async fn insert(tx: &mut TenantTx, id: Uuid, pdf: &[u8], now: Timestamp) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO invoice_documents (tenant_id, document_id, pdf, sha256, rendered_at)
        VALUES ($1, $2, $3, sha256($3), $4)
        ON CONFLICT DO NOTHING",
        tx.tenant_id() as _,
        id,
        pdf,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
