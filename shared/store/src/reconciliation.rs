//! `reconciliations` and `reconciliation_differences`: what providers say moved, against what is on record. Control tables:
//! they are about the platform's account with its provider.

use billing::{LedgerAccount, Posting};
use domain::id::{DifferenceId, InvoiceId, TenantId};
use domain::money::{Currency, Money};
use domain::payment::ProviderName;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::billing::payment::Provider;
use crate::error::Error;
use crate::ledger::{self, Booked};
use crate::page::{Page, Rows};
use crate::payment_methods::provider;
use crate::tenant_tx::{ControlTx, TenantTx, Tx};

/// Money that moved, as it is on record here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// `Payment`, `Refund` or `Dispute`.
    pub what: String,
    /// The provider's id of it.
    pub reference: String,
    /// Whose.
    pub tenant_id: TenantId,
    /// How much.
    pub amount: Money,
    /// When it was begun.
    pub begun_at: Timestamp,
}

/// What is on record of a provider's money: of `references`, or begun in `[from, to)`.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn recorded(
    tx: &mut ControlTx,
    of: ProviderName,
    from: Timestamp,
    to: Timestamp,
    references: &[String],
) -> Result<Vec<Recorded>, Error> {
    let rows = sqlx::query!(
        r#"SELECT what AS "what!", reference AS "reference!", tenant_id AS "tenant_id!: TenantId", currency AS "currency!",
            amount_minor AS "amount_minor!", begun_at AS "begun_at!"
        FROM recorded_movements($1, $2, $3, $4)"#,
        of.as_str(),
        from.to_sqlx() as _,
        to.to_sqlx() as _,
        references
    )
    .fetch_all(tx.connection())
    .await?;
    let recorded = rows.into_iter().map(|row| {
        Ok(Recorded {
            what: row.what,
            reference: row.reference,
            tenant_id: row.tenant_id,
            amount: Money { amount_minor: row.amount_minor, currency: currency(&row.currency)? },
            begun_at: row.begun_at.to_jiff(),
        })
    });
    recorded.collect()
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its id.
    pub id: DifferenceId,
    /// Whose money.
    pub provider: ProviderName,
    /// `Payment`, `Refund` or `Dispute`.
    pub what: String,
    /// The provider's id of it.
    pub reference: String,
    /// Whose it is, where it is one of ours.
    pub tenant_id: Option<TenantId>,
    /// The currency.
    pub currency: Currency,
    /// How much is on record here; `None`: nothing.
    pub ours_minor: Option<i64>,
    /// How much the provider says; `None`: it knows of nothing.
    pub theirs_minor: Option<i64>,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// When it was found.
    pub found_at: Timestamp,
    /// `Open`, `Matched`, `Repaired` or `Accepted`.
    pub state: String,
    /// Why it may stay.
    pub reason: Option<String>,
}

/// Up to when a provider was compared. `None`: it was not yet.
///
/// # Errors
/// When the database is gone.
pub async fn compared_until(
    tx: &mut ControlTx,
    of: ProviderName,
) -> Result<Option<Timestamp>, Error> {
    let until = sqlx::query_scalar!(
        "SELECT max(to_at) FROM reconciliations WHERE provider = $1",
        of.as_str()
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(until.map(|at| at.to_jiff()))
}

/// Keeps a difference, or what it is by now. One that was ended and differs again is open again, unless it was accepted.
///
/// # Errors
/// When the database is gone.
pub async fn keep(tx: &mut ControlTx, found: &Difference) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO reconciliation_differences (id, provider, what, reference, tenant_id, currency, ours_minor,
            theirs_minor, begun_at, found_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (provider, what, reference) DO UPDATE
        SET ours_minor = excluded.ours_minor, theirs_minor = excluded.theirs_minor, state = 'Open', ended_at = NULL
        WHERE reconciliation_differences.state = 'Matched' OR (reconciliation_differences.state IN ('Open', 'Repaired')
            AND (reconciliation_differences.ours_minor, reconciliation_differences.theirs_minor)
                IS DISTINCT FROM (excluded.ours_minor, excluded.theirs_minor))",
        found.id as _,
        found.provider.as_str(),
        found.what,
        found.reference,
        found.tenant_id as _,
        found.currency.as_str(),
        found.ours_minor,
        found.theirs_minor,
        found.begun_at.to_sqlx() as _,
        found.found_at.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Ends open differences about what was begun in `[from, to)` and differs no more: it is the same on both sides by now, or
/// on neither.
///
/// # Errors
/// When the database is gone.
pub async fn note_matched(
    tx: &mut ControlTx,
    of: ProviderName,
    (from, to): (Timestamp, Timestamp),
    differ: &[Difference],
    now: Timestamp,
) -> Result<(), Error> {
    let key = |one: &Difference| (one.what.clone(), one.reference.clone());
    let (whats, references): (Vec<_>, Vec<_>) = differ.iter().map(key).unzip();
    sqlx::query!(
        "UPDATE reconciliation_differences SET state = 'Matched', ended_at = $6
        WHERE provider = $1 AND state = 'Open' AND begun_at >= $2 AND begun_at < $3
            AND (what, reference) NOT IN (SELECT * FROM unnest($4::text[], $5::text[]))",
        of.as_str(),
        from.to_sqlx() as _,
        to.to_sqlx() as _,
        &whats,
        &references,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Keeps that a provider was compared, with what is open of it now; how many that is.
///
/// # Errors
/// When the database is gone.
pub async fn note_compared(
    tx: &mut ControlTx,
    of: ProviderName,
    from: Timestamp,
    to: Timestamp,
    compared: usize,
    now: Timestamp,
) -> Result<i64, Error> {
    let open = sqlx::query_scalar!(
        r#"INSERT INTO reconciliations (provider, from_at, to_at, compared_at, compared, open)
        SELECT $1, $2, $3, $4, $5, count(*) FROM reconciliation_differences WHERE provider = $1 AND state = 'Open'
        ON CONFLICT (provider, from_at, to_at) DO UPDATE
        SET compared_at = excluded.compared_at, compared = excluded.compared, open = excluded.open
        RETURNING open"#,
        of.as_str(),
        from.to_sqlx() as _,
        to.to_sqlx() as _,
        now.to_sqlx() as _,
        i64::try_from(compared).unwrap_or(i64::MAX)
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(open)
}

/// A page of differences, the youngest first; `open`: those alone that nobody has ended.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn list(tx: &mut ControlTx, open: bool, page: Page) -> Result<Rows<Difference>, Error> {
    let wanted = Wanted { open, after: page.after, ..Wanted::default() };
    let rows = find(tx, &wanted, page.limit.probe()).await?;
    Ok(Rows::cut(rows, page.limit, |found| found.id.as_uuid()))
}

/// A difference.
///
/// # Errors
/// `NotFound` when there is none of that id.
pub async fn get(tx: &mut ControlTx, id: DifferenceId) -> Result<Difference, Error> {
    let wanted = Wanted { id: Some(id), ..Wanted::default() };
    find(tx, &wanted, 1).await?.into_iter().next().ok_or(Error::NotFound)
}

/// Open differences with a provider about what was begun before a time, the youngest first, up to `count`.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn open_before(
    tx: &mut ControlTx,
    of: ProviderName,
    before: Timestamp,
    count: i64,
) -> Result<Vec<Difference>, Error> {
    let wanted = Wanted { open: true, begun_before: Some((of, before)), ..Wanted::default() };
    find(tx, &wanted, count).await
}

#[derive(Default)]
struct Wanted {
    id: Option<DifferenceId>,
    open: bool,
    after: Option<uuid::Uuid>,
    begun_before: Option<(ProviderName, Timestamp)>,
}

async fn find(tx: &mut ControlTx, wanted: &Wanted, count: i64) -> Result<Vec<Difference>, Error> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: DifferenceId", provider, what, reference, tenant_id AS "tenant_id: TenantId", currency,
            ours_minor, theirs_minor, begun_at, found_at, state, reason
        FROM reconciliation_differences
        WHERE ($1::uuid IS NULL OR id = $1) AND (NOT $2 OR state = 'Open') AND ($3::uuid IS NULL OR id < $3)
            AND ($5::text IS NULL OR provider = $5 AND begun_at < $6)
        ORDER BY id DESC
        LIMIT $4"#,
        wanted.id as _,
        wanted.open,
        wanted.after,
        count,
        wanted.begun_before.map(|(of, _)| of.as_str()),
        wanted.begun_before.map(|(_, before)| before.to_sqlx()) as _
    )
    .fetch_all(tx.connection())
    .await?;
    let differences = rows.into_iter().map(|row| {
        Ok(Difference {
            id: row.id,
            provider: provider(&row.provider)?,
            what: row.what,
            reference: row.reference,
            tenant_id: row.tenant_id,
            currency: currency(&row.currency)?,
            ours_minor: row.ours_minor,
            theirs_minor: row.theirs_minor,
            begun_at: row.begun_at.to_jiff(),
            found_at: row.found_at.to_jiff(),
            state: row.state,
            reason: row.reason,
        })
    });
    differences.collect()
}

/// How a difference ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending<'a> {
    /// It is the same on both sides by now, or on neither.
    Matched,
    /// By entries that were posted for it.
    Repaired,
    /// An operator says why it may stay.
    Accepted(&'a str),
}

/// Ends an open difference; whether it was open.
///
/// # Errors
/// When the database is gone.
pub async fn end(
    tx: &mut impl Tx,
    id: DifferenceId,
    ending: Ending<'_>,
    now: Timestamp,
) -> Result<bool, Error> {
    let (state, reason) = match ending {
        Ending::Matched => ("Matched", None),
        Ending::Repaired => ("Repaired", None),
        Ending::Accepted(reason) => ("Accepted", Some(reason)),
    };
    let ended = sqlx::query!(
        "UPDATE reconciliation_differences SET state = $2, reason = $3, ended_at = $4 WHERE id = $1 AND state = 'Open'",
        id as _,
        state,
        reason,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Books what is on record of a payment to what its provider says: more is the customer's, and goes to their credit; what
/// is not there is a loss, because what was paid stays paid.
///
/// # Errors
/// `NotFound` when no such payment is on record; when the database is gone.
pub async fn adjust(tx: &mut TenantTx, found: &Difference, now: Timestamp) -> Result<(), Error> {
    let invoice = sqlx::query_scalar!(
        r#"SELECT invoice_id AS "invoice_id: InvoiceId" FROM payments
        WHERE tenant_id = $1 AND provider = $2 AND reference = $3"#,
        tx.tenant_id() as _,
        found.provider.as_str(),
        found.reference
    )
    .fetch_one(tx.connection())
    .await?;
    let more = found.theirs_minor.unwrap_or(0) - found.ours_minor.unwrap_or(0);
    let cash = Provider::Through(found.provider).cash();
    let (debit, credit) =
        if more > 0 { (cash, LedgerAccount::Credit) } else { (LedgerAccount::BadDebt, cash) };
    let posting = Posting::moved(found.currency, debit, credit, more.abs());
    ledger::post(tx, Booked::Repair(found.id), invoice, &posting, now).await
}

fn currency(text: &str) -> Result<Currency, Error> {
    text.parse().map_err(|_| Error::Foreign("currency"))
}
