//! `bank_entries`: money that banks tell of, each once, and whose it is found to be.

use domain::bank::{Entry, EntryKind, EntryState, MatchedBy, Statement};
use domain::creditor_reference::CreditorReference;
use domain::id::{BankEntryId, InvoiceId, PaymentId, TenantId};
use domain::money::Money;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::page::{Page, Rows};
use crate::tenant_tx::{ControlTx, Tx};

/// References of one text that are looked up at most.
const REFERENCES_MAX: usize = 20;

/// What became of an entry when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insertion {
    /// It is new.
    New,
    /// It is new by its place alone: one that says the same is on another statement, and the bank has no reference by
    /// which the two could be told apart.
    Doubtful,
    /// It is known.
    Known,
}

/// Which invoice an entry pays, as far as it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// This one.
    One(Target),
    /// None; the words say why.
    None(&'static str),
}

/// An invoice that an entry pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Whose.
    pub tenant_id: TenantId,
    /// Which.
    pub invoice_id: InvoiceId,
    /// By what it was found.
    pub by: MatchedBy,
}

/// An entry as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its id.
    pub id: BankEntryId,
    /// The account.
    pub iban: String,
    /// On which statement it came.
    pub statement_id: String,
    /// What kind of movement.
    pub kind: EntryKind,
    /// How much.
    pub amount: Money,
    /// The day it was booked.
    pub booked_on: Option<Date>,
    /// The payer's own reference.
    pub end_to_end_id: Option<String>,
    /// Who paid.
    pub payer_name: Option<String>,
    /// From which account.
    pub payer_iban: Option<String>,
    /// The creditor reference that came with it.
    pub reference: Option<String>,
    /// What the payer wrote.
    pub text: String,
    /// When it was imported.
    pub imported_at: Timestamp,
    /// What has become of it.
    pub state: EntryState,
    /// Why it is not matched, or ignored.
    pub note: Option<String>,
    /// What it paid.
    pub matched: Option<(Target, PaymentId)>,
    /// When it was matched or ignored.
    pub settled_at: Option<Timestamp>,
}

/// Keeps an entry, unmatched, if it is not known. Whoever brings the same one meanwhile waits for this transaction.
///
/// # Errors
/// When the database is gone.
pub async fn insert(
    tx: &mut ControlTx,
    id: BankEntryId,
    statement: &Statement,
    entry: &Entry,
    now: Timestamp,
) -> Result<Insertion, Error> {
    if insert_as(tx, id, statement, (entry, &entry.key), now).await? {
        return Ok(Insertion::New);
    }
    let elsewhere = sqlx::query_scalar!(
        "SELECT statement_id <> $3 FROM bank_entries WHERE iban = $1 AND entry_key = $2",
        statement.iban,
        entry.key,
        statement.id
    )
    .fetch_one(tx.connection())
    .await?;
    if !entry.key_of_content || elsewhere != Some(true) {
        return Ok(Insertion::Known);
    }
    let key = format!("{} on {}", entry.key, statement.id);
    let new = insert_as(tx, id, statement, (entry, &key), now).await?;
    Ok(if new { Insertion::Doubtful } else { Insertion::Known })
}

async fn insert_as(
    tx: &mut ControlTx,
    id: BankEntryId,
    statement: &Statement,
    (entry, key): (&Entry, &str),
    now: Timestamp,
) -> Result<bool, Error> {
    let inserted = sqlx::query!(
        "INSERT INTO bank_entries (id, iban, statement_id, entry_key, kind, currency, amount_minor, booked_on,
            end_to_end_id, payer_name, payer_iban, reference, remittance, imported_at, state, note)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'Unmatched', '')
        ON CONFLICT (iban, entry_key) DO NOTHING",
        id as _,
        statement.iban,
        statement.id,
        key,
        entry.kind.as_str(),
        entry.amount.currency.as_str(),
        entry.amount.amount_minor,
        entry.booked_on.map(|day| day.to_sqlx()) as _,
        entry.end_to_end_id,
        entry.payer_name,
        entry.payer_iban,
        entry.reference,
        entry.text,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Finds the invoice that an entry pays: by its reference, by one in its text, by who paid how much. What may be meant
/// for two is for neither.
///
/// # Errors
/// When the database is gone.
pub async fn find_invoice(tx: &mut ControlTx, entry: &Entry) -> Result<Finding, Error> {
    match entry.kind {
        EntryKind::Credit => {}
        EntryKind::Lump => {
            return Ok(Finding::None("several payments that the bank does not tell apart"));
        }
        EntryKind::Reversal => {
            return Ok(Finding::None("money that came in before was taken back"));
        }
        EntryKind::Return => return Ok(Finding::None("money that we sent came back")),
    }
    let structured: Vec<CreditorReference> =
        entry.reference.iter().filter_map(|text| text.parse().ok()).collect();
    let of_reference = invoices_of(tx, &structured, MatchedBy::Reference).await?;
    if let [target] = of_reference[..] {
        return Ok(Finding::One(target));
    }
    let texts = [Some(&entry.text), entry.end_to_end_id.as_ref(), entry.reference.as_ref()];
    // A text each: what one ends with and the other begins with is no reference.
    let written = texts.into_iter().flatten().flat_map(|text| CreditorReference::all_in(text));
    let written: Vec<CreditorReference> = written.collect();
    match invoices_of(tx, &written, MatchedBy::Text).await?[..] {
        [target] => return Ok(Finding::One(target)),
        [] => {}
        _ => return Ok(Finding::None("references of several invoices")),
    }
    let Some(payer) = &entry.payer_iban else {
        return Ok(Finding::None("no reference of an invoice, and no account of the payer"));
    };
    let open = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!: TenantId", invoice_id AS "invoice_id!: InvoiceId"
        FROM open_invoices_of_payer($1, $2, $3)"#,
        payer,
        entry.amount.currency.as_str(),
        entry.amount.amount_minor
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(match &open[..] {
        [one] => Finding::One(Target {
            tenant_id: one.tenant_id,
            invoice_id: one.invoice_id,
            by: MatchedBy::Payer,
        }),
        [] => {
            Finding::None("no reference of an invoice, and none open of this amount and this payer")
        }
        _ => Finding::None(
            "no reference of an invoice, and several open of this amount and this payer",
        ),
    })
}

/// The invoices that references are of, each once.
async fn invoices_of(
    tx: &mut ControlTx,
    references: &[CreditorReference],
    by: MatchedBy,
) -> Result<Vec<Target>, Error> {
    let mut targets = Vec::new();
    for reference in references.iter().take(REFERENCES_MAX) {
        let rows = sqlx::query!(
            r#"SELECT tenant_id AS "tenant_id!: TenantId", invoice_id AS "invoice_id!: InvoiceId"
            FROM invoices_of_reference($1)"#,
            reference.number()
        )
        .fetch_all(tx.connection())
        .await?;
        for row in rows {
            let target = Target { tenant_id: row.tenant_id, invoice_id: row.invoice_id, by };
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
    }
    Ok(targets)
}

/// Notes why an entry is not matched.
///
/// # Errors
/// When the database is gone.
pub async fn leave_unmatched(tx: &mut impl Tx, id: BankEntryId, why: &str) -> Result<(), Error> {
    sqlx::query!("UPDATE bank_entries SET note = $2 WHERE id = $1", id as _, why)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Notes what an entry paid.
///
/// # Errors
/// When the database is gone.
pub async fn set_matched(
    tx: &mut impl Tx,
    id: BankEntryId,
    target: &Target,
    payment: PaymentId,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE bank_entries SET state = 'Matched', note = NULL, matched_by = $2, tenant_id = $3, invoice_id = $4,
            payment_id = $5, settled_at = $6
        WHERE id = $1",
        id as _,
        target.by.as_str(),
        target.tenant_id as _,
        target.invoice_id as _,
        payment as _,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Notes that an entry is no payment of an invoice.
///
/// # Errors
/// When the database is gone.
pub async fn set_ignored(
    tx: &mut impl Tx,
    id: BankEntryId,
    why: &str,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE bank_entries SET state = 'Ignored', note = $2, settled_at = $3 WHERE id = $1",
        id as _,
        why,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// An entry, which nobody else changes until the transaction ends.
///
/// # Errors
/// `NotFound` when there is none.
pub async fn get_for_update(tx: &mut impl Tx, id: BankEntryId) -> Result<Kept, Error> {
    sqlx::query!("SELECT 1 AS locked FROM bank_entries WHERE id = $1 FOR UPDATE", id as _)
        .fetch_one(tx.connection())
        .await?;
    get(tx, id).await
}

/// An entry.
///
/// # Errors
/// `NotFound` when there is none.
pub async fn get(tx: &mut impl Tx, id: BankEntryId) -> Result<Kept, Error> {
    select(tx, Some(id), None, None, 1).await?.pop().ok_or(Error::NotFound)
}

/// A page of the entries, newest first; of one state, where that is asked for.
///
/// # Errors
/// When the database is gone.
pub async fn list(
    tx: &mut ControlTx,
    state: Option<EntryState>,
    page: Page,
) -> Result<Rows<Kept>, Error> {
    let rows = select(tx, None, state, page.after, page.limit.probe()).await?;
    Ok(Rows::cut(rows, page.limit, |entry| entry.id.as_uuid()))
}

async fn select(
    tx: &mut impl Tx,
    id: Option<BankEntryId>,
    state: Option<EntryState>,
    after: Option<uuid::Uuid>,
    count: i64,
) -> Result<Vec<Kept>, Error> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: BankEntryId", iban, statement_id, kind, currency, amount_minor,
            booked_on AS "booked_on: jiff_sqlx::Date", end_to_end_id, payer_name, payer_iban, reference, remittance,
            imported_at, state, note, matched_by, tenant_id AS "tenant_id: TenantId",
            invoice_id AS "invoice_id: InvoiceId", payment_id AS "payment_id: PaymentId", settled_at
        FROM bank_entries
        WHERE ($1::uuid IS NULL OR id = $1) AND ($2::text IS NULL OR state = $2) AND ($3::uuid IS NULL OR id < $3)
        ORDER BY id DESC
        LIMIT $4"#,
        id as _,
        state.map(EntryState::as_str),
        after,
        count
    )
    .fetch_all(tx.connection())
    .await?;
    let kept = rows.into_iter().map(|row| {
        let foreign = |column| move |_| Error::Foreign(column);
        let by: Option<MatchedBy> = match row.matched_by {
            Some(by) => Some(by.parse().map_err(foreign("bank_entries.matched_by"))?),
            None => None,
        };
        let matched = match (row.tenant_id, row.invoice_id, by, row.payment_id) {
            (Some(tenant_id), Some(invoice_id), Some(by), Some(payment)) => {
                Some((Target { tenant_id, invoice_id, by }, payment))
            }
            _ => None,
        };
        let currency = row.currency.parse().map_err(|_| Error::Foreign("bank_entries.currency"))?;
        Ok(Kept {
            id: row.id,
            iban: row.iban,
            statement_id: row.statement_id,
            kind: row.kind.parse().map_err(foreign("bank_entries.kind"))?,
            amount: Money { amount_minor: row.amount_minor, currency },
            booked_on: row.booked_on.map(|day| day.to_jiff()),
            end_to_end_id: row.end_to_end_id,
            payer_name: row.payer_name,
            payer_iban: row.payer_iban,
            reference: row.reference,
            text: row.remittance,
            imported_at: row.imported_at.to_jiff(),
            state: row.state.parse().map_err(foreign("bank_entries.state"))?,
            note: row.note,
            matched,
            settled_at: row.settled_at.map(|at| at.to_jiff()),
        })
    });
    kept.collect()
}
