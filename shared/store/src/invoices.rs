//! `invoices` and `invoice_lines`, as they are read. What writes them is [`crate::billing`].

use billing::{Draft, Issuer, Line, Recipient, TaxGroup};
use domain::id::{InvoiceId, PaymentId, SubscriptionId};
use domain::money::{Currency, Money};
use domain::period::Period;
use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::types::Json;

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
    /// `Period`, `Adjustment`, `Threshold`, `Final` or `Manual`.
    pub kind: String,
    /// `Draft`, `Open`, `Paid`, `Uncollectible` or `Void`.
    pub status: String,
    /// What it comes to.
    pub total: Money,
    /// What is still to be paid.
    pub due: Money,
    /// The day by which it is to be paid, once finalised.
    pub due_on: Option<Date>,
    /// The period that it bills.
    pub period: Period,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An invoice with all that is on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// As the list shows it.
    pub invoice: Invoice,
    /// What it bills.
    pub draft: Draft,
    /// When a draft is finalised.
    pub finalize_at: Timestamp,
    /// The day of issue, once finalised.
    pub issued_on: Option<Date>,
    /// Sums, in minor units.
    pub sums: Sums,
    /// Tax by rate.
    pub tax_groups: Vec<TaxGroup>,
    /// Who issued it.
    pub issuer: Option<Issuer>,
    /// To whom.
    pub customer: Option<Recipient>,
    /// Whether it was to be charged to a way to pay on file when it was finalised.
    pub charged: bool,
    /// Its lines; none in a draft.
    pub lines: Vec<Line>,
    /// What was paid on it.
    pub payments: Vec<Payment>,
}

/// Sums of an invoice, in minor units of its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    /// Before discounts.
    pub subtotal_minor: i64,
    /// Discounts.
    pub discount_minor: i64,
    /// After discounts, before tax.
    pub net_minor: i64,
    /// Tax.
    pub tax_minor: i64,
    /// From the balance; negative: to it.
    pub credit_applied_minor: i64,
    /// Paid.
    pub paid_minor: i64,
    /// Taken back by credit notes before it was paid.
    pub credited_minor: i64,
}

/// A payment on an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// Through whom: `Sandbox` or `Manual`.
    pub provider: String,
    /// How much.
    pub amount: Money,
    /// What of it went to the balance.
    pub excess_minor: i64,
    /// When.
    pub received_at: Timestamp,
}

/// A page of the tenant's invoices, newest first.
///
/// # Errors
/// When the database is gone.
pub async fn list(tx: &mut TenantTx, page: Page) -> Result<Rows<Invoice>, Error> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: InvoiceId", number, kind, status, currency, total_minor, due_minor AS "due_minor!",
            due_on AS "due_on: jiff_sqlx::Date",
            period_start, period_end, created_at
        FROM invoices
        WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2)
        ORDER BY id DESC
        LIMIT $3"#,
        tx.tenant_id() as _,
        page.after,
        page.limit.probe()
    )
    .fetch_all(tx.connection())
    .await?;
    let invoices = rows.into_iter().map(|row| {
        let currency = currency(&row.currency)?;
        Ok(Invoice {
            id: row.id,
            number: row.number,
            kind: row.kind,
            due: due(&row.status, row.due_minor, currency),
            status: row.status,
            total: Money { amount_minor: row.total_minor, currency },
            due_on: row.due_on.map(|date| date.to_jiff()),
            period: Period { start: row.period_start.to_jiff(), end: row.period_end.to_jiff() },
            created_at: row.created_at.to_jiff(),
        })
    });
    let invoices = invoices.collect::<Result<Vec<_>, Error>>()?;
    Ok(Rows::cut(invoices, page.limit, |invoice| invoice.id.as_uuid()))
}

/// An invoice of the tenant.
///
/// # Errors
/// `NotFound` when there is none of that id.
pub async fn get(tx: &mut TenantTx, id: InvoiceId) -> Result<Full, Error> {
    let row = sqlx::query!(
        r#"SELECT number, kind, status, currency, total_minor, due_minor AS "due_minor!",
            due_on AS "due_on: jiff_sqlx::Date", period_start, period_end,
            created_at, draft AS "draft: Json<Draft>", finalize_at,
            issued_on AS "issued_on: jiff_sqlx::Date", subtotal_minor, discount_minor,
            net_minor, tax_minor, credit_applied_minor, paid_minor, credited_minor,
            tax_groups AS "tax_groups: Json<Vec<TaxGroup>>", issuer AS "issuer: Json<Issuer>",
            customer AS "customer: Json<Recipient>", charged
        FROM invoices WHERE tenant_id = $1 AND id = $2"#,
        tx.tenant_id() as _,
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    let currency = currency(&row.currency)?;
    let lines = lines(tx, id).await?;
    let payments = payments(tx, id).await?;
    Ok(Full {
        invoice: Invoice {
            id,
            number: row.number,
            kind: row.kind,
            due: due(&row.status, row.due_minor, currency),
            status: row.status,
            total: Money { amount_minor: row.total_minor, currency },
            due_on: row.due_on.map(|date| date.to_jiff()),
            period: Period { start: row.period_start.to_jiff(), end: row.period_end.to_jiff() },
            created_at: row.created_at.to_jiff(),
        },
        draft: row.draft.0,
        finalize_at: row.finalize_at.to_jiff(),
        issued_on: row.issued_on.map(|date| date.to_jiff()),
        sums: Sums {
            subtotal_minor: row.subtotal_minor,
            discount_minor: row.discount_minor,
            net_minor: row.net_minor,
            tax_minor: row.tax_minor,
            credit_applied_minor: row.credit_applied_minor,
            paid_minor: row.paid_minor,
            credited_minor: row.credited_minor,
        },
        tax_groups: row.tax_groups.0,
        issuer: row.issuer.map(|issuer| issuer.0),
        customer: row.customer.map(|customer| customer.0),
        charged: row.charged,
        lines,
        payments,
    })
}

async fn lines(tx: &mut TenantTx, id: InvoiceId) -> Result<Vec<Line>, Error> {
    let rows = sqlx::query!(
        r#"SELECT description, detail, plan, period_start, period_end, quantity, unit, unit_price, amount_minor,
            discount_minor, net_minor, tax_minor, tax AS "tax: Json<billing::TaxTerms>",
            rule AS "rule: Json<billing::Rule>"
        FROM invoice_lines WHERE tenant_id = $1 AND invoice_id = $2 ORDER BY line"#,
        tx.tenant_id() as _,
        id as _
    )
    .fetch_all(tx.connection())
    .await?;
    let line = rows.into_iter().map(|row| {
        let plan = row.plan.map(|plan| plan.parse()).transpose();
        Ok(Line {
            description: row.description,
            detail: row.detail,
            plan: plan.map_err(|_| Error::Foreign("invoice_lines.plan"))?,
            period: Period { start: row.period_start.to_jiff(), end: row.period_end.to_jiff() },
            quantity: row.quantity.unsigned_abs(),
            unit: row.unit,
            unit_price: row.unit_price,
            amount_minor: row.amount_minor,
            discount_minor: row.discount_minor,
            net_minor: row.net_minor,
            tax_minor: row.tax_minor,
            tax: row.tax.0,
            rule: row.rule.0,
        })
    });
    line.collect()
}

async fn payments(tx: &mut TenantTx, id: InvoiceId) -> Result<Vec<Payment>, Error> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: PaymentId", provider, currency, amount_minor, excess_minor, received_at
        FROM payments WHERE tenant_id = $1 AND invoice_id = $2 ORDER BY received_at, id"#,
        tx.tenant_id() as _,
        id as _
    )
    .fetch_all(tx.connection())
    .await?;
    let payments = rows.into_iter().map(|row| {
        Ok(Payment {
            id: row.id,
            provider: row.provider,
            amount: Money { amount_minor: row.amount_minor, currency: currency(&row.currency)? },
            excess_minor: row.excess_minor,
            received_at: row.received_at.to_jiff(),
        })
    });
    payments.collect()
}

/// The drafts of a subscription, oldest first: what must be finalised before it changes.
///
/// # Errors
/// When the database is gone.
pub async fn drafts(tx: &mut TenantTx, id: SubscriptionId) -> Result<Vec<InvoiceId>, Error> {
    let drafts = sqlx::query_scalar!(
        r#"SELECT id AS "id: InvoiceId" FROM invoices
        WHERE tenant_id = $1 AND subscription_id = $2 AND status = 'Draft'
        ORDER BY boundary, id"#,
        tx.tenant_id() as _,
        id as _
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(drafts)
}

/// The draft of a subscription that is to be finalised first, and when.
///
/// # Errors
/// When the database is gone.
pub async fn next_draft(
    tx: &mut TenantTx,
    id: SubscriptionId,
) -> Result<Option<(InvoiceId, Timestamp)>, Error> {
    let row = sqlx::query!(
        r#"SELECT id AS "id: InvoiceId", finalize_at FROM invoices
        WHERE tenant_id = $1 AND subscription_id = $2 AND status = 'Draft'
        ORDER BY finalize_at, id LIMIT 1"#,
        tx.tenant_id() as _,
        id as _
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(row.map(|row| (row.id, row.finalize_at.to_jiff())))
}

/// The invoices that wait for payment, oldest first.
///
/// # Errors
/// When the database is gone.
pub async fn open(tx: &mut TenantTx) -> Result<Vec<InvoiceId>, Error> {
    let open = sqlx::query_scalar!(
        r#"SELECT id AS "id: InvoiceId" FROM invoices WHERE tenant_id = $1 AND status = 'Open' ORDER BY id"#,
        tx.tenant_id() as _
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(open)
}

/// The invoices that wait for payment, oldest first, with what is due of each.
///
/// # Errors
/// When the database is gone.
pub async fn open_dues(tx: &mut TenantTx) -> Result<Vec<(InvoiceId, Money)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: InvoiceId", due_minor AS "due_minor!", currency FROM invoices
        WHERE tenant_id = $1 AND status = 'Open' AND due_minor > 0
        ORDER BY finalized_at, id"#,
        tx.tenant_id() as _
    )
    .fetch_all(tx.connection())
    .await?;
    let dues = rows.into_iter().map(|row| {
        let currency = currency(&row.currency)?;
        Ok((row.id, Money { amount_minor: row.due_minor, currency }))
    });
    dues.collect()
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

/// Of what was withdrawn nothing is due.
fn due(status: &str, due_minor: i64, currency: Currency) -> Money {
    Money { amount_minor: if status == "Void" { 0 } else { due_minor }, currency }
}

fn currency(text: &str) -> Result<Currency, Error> {
    text.parse().map_err(|_| Error::Foreign("invoices.currency"))
}
