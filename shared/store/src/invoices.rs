//! `invoices`: read only until the billing engine makes them.

use domain::id::InvoiceId;
use domain::money::Money;
use jiff::Timestamp;

use crate::error::Error;
use crate::page::{Page, Rows};
use crate::tenant_tx::{TenantTx, Tx};

/// An invoice, as the list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    /// Its id.
    pub id: InvoiceId,
    /// Its number, once finalised.
    pub number: Option<String>,
    /// `Draft`, `Open`, `Paid`, `Uncollectible` or `Void`.
    pub status: String,
    /// What it comes to.
    pub total: Money,
    /// What is still to be paid.
    pub due: Money,
    /// Start of the period that it bills.
    pub period_start: Timestamp,
    /// End of it.
    pub period_end: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A page of the tenant's invoices, newest first.
///
/// # Errors
/// When the database is gone.
pub async fn list(tx: &mut TenantTx, page: Page) -> Result<Rows<Invoice>, Error> {
    let rows = sqlx::query!(
        "SELECT id, number, status, currency, total_minor, due_minor, period_start, period_end, created_at
        FROM invoices
        WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2)
        ORDER BY id DESC
        LIMIT $3",
        tx.tenant_id() as _,
        page.after,
        page.limit.probe()
    )
    .fetch_all(tx.connection())
    .await?;
    let invoices = rows.into_iter().map(|row| {
        let currency = row.currency.parse().map_err(|_| Error::Foreign("invoices.currency"))?;
        Ok(Invoice {
            id: row.id,
            number: row.number,
            status: row.status,
            total: Money { amount_minor: row.total_minor, currency },
            due: Money { amount_minor: row.due_minor, currency },
            period_start: row.period_start.to_jiff(),
            period_end: row.period_end.to_jiff(),
            created_at: row.created_at.to_jiff(),
        })
    });
    let invoices = invoices.collect::<Result<Vec<_>, Error>>()?;
    Ok(Rows::cut(invoices, page.limit, |invoice| invoice.id.as_uuid()))
}

/// How many invoices wait for payment.
///
/// # Errors
/// When the database is gone.
pub async fn count_open(tx: &mut TenantTx) -> Result<u64, Error> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM invoices WHERE tenant_id = $1 AND status = 'Open'"#,
        tx.tenant_id() as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(count.unsigned_abs())
}
