//! `credit_notes`: what was taken back of invoices that can no longer change.

use billing::{CreditNote, CreditNoteError, CreditNoteLine, Creditable, Posting, credit_note};
use domain::id::{CreditNoteId, InvoiceId};
use domain::money::Money;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use sqlx::types::Json;

use crate::billing::Books;
use crate::error::Error;
use crate::ledger::{self, Booked};
use crate::page::{Page, Rows};
use crate::tenant_tx::{TenantTx, Tx};
use crate::{document_numbers, invoices};

/// A credit note, as the list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Its id.
    pub id: CreditNoteId,
    /// Its number.
    pub number: String,
    /// Of which invoice.
    pub invoice_id: InvoiceId,
    /// The day of issue.
    pub issued_on: Date,
    /// Why.
    pub reason: String,
    /// What the customer gets back, with tax.
    pub total: Money,
    /// Its tax.
    pub tax: Money,
    /// What of it went to the balance.
    pub balance: Money,
    /// Its lines.
    pub lines: Vec<CreditNoteLine>,
}

/// What is to be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Its id.
    pub id: CreditNoteId,
    /// Of which invoice.
    pub invoice_id: InvoiceId,
    /// By line: net, minor units; none: all that is left of the invoice.
    pub lines: Vec<(u32, i64)>,
    /// Why.
    pub reason: String,
}

/// Why there is no credit note.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The database; `Stale`: the invoice is a draft or void.
    #[error(transparent)]
    Store(#[from] Error),
    /// The wish.
    #[error(transparent)]
    Wish(#[from] CreditNoteError),
}

impl From<sqlx::Error> for IssueError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Issues a credit note: what is still due of the invoice, given up or not, is less, the rest goes to the balance.
///
/// # Errors
/// When the wish is more than the lines have left; `NotFound` without such an invoice.
pub async fn issue(
    tx: &mut TenantTx,
    books: &Books,
    wish: &Wish,
    now: Timestamp,
) -> Result<Issued, IssueError> {
    // Locked: of two notes at once the second sees what the first took.
    let locked = sqlx::query_scalar!(
        "SELECT status FROM invoices WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
        tx.tenant_id() as _,
        wish.invoice_id as _
    )
    .fetch_one(tx.connection())
    .await?;
    if matches!(locked.as_str(), "Draft" | "Void") {
        return Err(Error::Stale.into());
    }
    let full = invoices::get(tx, wish.invoice_id).await?;
    let creditable = creditable(tx, &full).await?;
    let all = all_that_is_left(&creditable);
    let lines = if wish.lines.is_empty() { &all } else { &wish.lines };
    let note = credit_note(&creditable, lines, full.invoice.due.amount_minor)?;
    insert(tx, books, wish, &full, &note, now).await
}

/// Everything that can still be taken back: of each line what is left, and of all no more than the invoice comes to,
/// which lines of its own may have made less.
fn all_that_is_left(lines: &[Creditable]) -> Vec<(u32, i64)> {
    let mut whole: i64 = lines.iter().map(Creditable::left_minor).fold(0, i64::saturating_add);
    let mut all = Vec::new();
    for line in lines {
        let part = line.left_minor().min(whole);
        if part > 0 {
            all.push((line.line, part));
            whole -= part;
        }
    }
    all
}

/// What is left of each line: less what notes took, and what later invoices gave back of unused time.
async fn creditable(tx: &mut TenantTx, full: &invoices::Full) -> Result<Vec<Creditable>, Error> {
    let taken = sqlx::query!(
        r#"SELECT line AS "line!", sum(net_minor)::bigint AS "net_minor!", sum(tax_minor)::bigint AS "tax_minor!"
        FROM (
            SELECT line, net_minor, tax_minor FROM credit_note_lines WHERE tenant_id = $1 AND invoice_id = $2
            UNION ALL
            SELECT (rule ->> 'line')::integer, -lines.net_minor, -lines.tax_minor
            FROM invoice_lines AS lines
            JOIN invoices ON (invoices.tenant_id, invoices.id) = (lines.tenant_id, lines.invoice_id)
            WHERE lines.tenant_id = $1 AND rule ->> 'rule' = 'credit' AND rule ->> 'invoice_id' = $3
                AND invoices.status <> 'Void'
        ) AS taken
        GROUP BY line"#,
        tx.tenant_id() as _,
        full.invoice.id as _,
        full.invoice.id.to_string()
    )
    .fetch_all(tx.connection())
    .await?;
    let lines = (1_u32..).zip(&full.lines).map(|(number, line)| {
        let taken = taken.iter().find(|row| row.line.unsigned_abs() == number);
        let taken = taken.map_or((0, 0), |row| (row.net_minor, row.tax_minor));
        Creditable::of(number, line, taken)
    });
    Ok(lines.collect())
}

async fn insert(
    tx: &mut TenantTx,
    books: &Books,
    wish: &Wish,
    full: &invoices::Full,
    note: &CreditNote,
    now: Timestamp,
) -> Result<Issued, IssueError> {
    let terms = &books.terms;
    let issued_on = terms.issuer.time_zone.day_of(now);
    let test =
        full.invoice.number.as_ref().is_some_and(|number| number.starts_with(&terms.series.tests));
    let series = if test { &terms.series.tests } else { &terms.series.credit_notes };
    let currency = full.invoice.total.currency;
    sqlx::query!(
        "UPDATE invoices SET credited_minor = credited_minor + $3,
            status = CASE WHEN status <> 'Paid' AND due_minor = $3 THEN 'Paid' ELSE status END,
            ended_at = CASE WHEN status <> 'Paid' AND due_minor = $3 THEN $4 ELSE ended_at END
        WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        wish.invoice_id as _,
        note.offset_minor,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    let number = document_numbers::next(tx, series, issued_on).await?.to_string();
    sqlx::query!(
        "INSERT INTO credit_notes (tenant_id, id, invoice_id, number, issued_on, currency, reason, net_minor,
            tax_minor, total_minor, offset_minor, balance_minor, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        tx.tenant_id() as _,
        wish.id as _,
        wish.invoice_id as _,
        number,
        issued_on.to_sqlx() as _,
        currency.as_str(),
        wish.reason,
        note.net_minor,
        note.tax_minor,
        note.total_minor,
        note.offset_minor,
        note.balance_minor,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    insert_lines(tx, wish, note).await?;
    let posting = Posting::credit_note(currency, ledger::due_of(&full.invoice.status), note);
    ledger::post(tx, Booked::CreditNote(wish.id), wish.invoice_id, &posting, now).await?;
    let money = |amount_minor| Money { amount_minor, currency };
    Ok(Issued {
        id: wish.id,
        number,
        invoice_id: wish.invoice_id,
        issued_on,
        reason: wish.reason.clone(),
        total: money(note.total_minor),
        tax: money(note.tax_minor),
        balance: money(note.balance_minor),
        lines: note.lines.clone(),
    })
}

async fn insert_lines(tx: &mut TenantTx, wish: &Wish, note: &CreditNote) -> Result<(), Error> {
    for (position, line) in (1_i32..).zip(&note.lines) {
        sqlx::query!(
            "INSERT INTO credit_note_lines (tenant_id, credit_note_id, position, invoice_id, line, description,
                net_minor, tax_minor, tax)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            tx.tenant_id() as _,
            wish.id as _,
            position,
            wish.invoice_id as _,
            i32::try_from(line.line).unwrap_or(i32::MAX),
            line.description,
            line.net_minor,
            line.tax_minor,
            Json(&line.tax) as _
        )
        .execute(tx.connection())
        .await?;
    }
    Ok(())
}

/// A credit note of the tenant.
///
/// # Errors
/// `NotFound` when there is none of that id.
pub async fn get(tx: &mut TenantTx, id: CreditNoteId) -> Result<Issued, Error> {
    let rows = find(tx, Some(id), None, 1).await?;
    rows.into_iter().next().ok_or(Error::NotFound)
}

/// A page of the tenant's credit notes, newest first.
///
/// # Errors
/// When the database is gone.
pub async fn list(tx: &mut TenantTx, page: Page) -> Result<Rows<Issued>, Error> {
    let rows = find(tx, None, page.after, page.limit.probe()).await?;
    Ok(Rows::cut(rows, page.limit, |note| note.id.as_uuid()))
}

async fn find(
    tx: &mut TenantTx,
    id: Option<CreditNoteId>,
    after: Option<uuid::Uuid>,
    count: i64,
) -> Result<Vec<Issued>, Error> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: CreditNoteId", invoice_id AS "invoice_id: InvoiceId", number,
            issued_on AS "issued_on: jiff_sqlx::Date", currency, reason,
            tax_minor, total_minor, balance_minor,
            (SELECT jsonb_agg(jsonb_build_object('line', line, 'description', description, 'net_minor',
                    lines.net_minor, 'tax_minor', lines.tax_minor, 'tax', tax) ORDER BY position)
                FROM credit_note_lines AS lines
                WHERE (lines.tenant_id, credit_note_id) = (credit_notes.tenant_id, id))
                AS "lines!: Json<Vec<CreditNoteLine>>"
        FROM credit_notes
        WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id = $2) AND ($3::uuid IS NULL OR id < $3)
        ORDER BY id DESC
        LIMIT $4"#,
        tx.tenant_id() as _,
        id as _,
        after,
        count
    )
    .fetch_all(tx.connection())
    .await?;
    let notes = rows.into_iter().map(|row| {
        let currency = row.currency.parse().map_err(|_| Error::Foreign("credit_notes.currency"))?;
        let money = |amount_minor| Money { amount_minor, currency };
        Ok(Issued {
            id: row.id,
            number: row.number,
            invoice_id: row.invoice_id,
            issued_on: row.issued_on.to_jiff(),
            reason: row.reason,
            total: money(row.total_minor),
            tax: money(row.tax_minor),
            balance: money(row.balance_minor),
            lines: row.lines.0,
        })
    });
    notes.collect()
}
