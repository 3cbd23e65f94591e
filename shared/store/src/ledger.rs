//! `ledger_transactions` and `ledger_entries`: what each event posts, once.

use billing::{LedgerAccount, Posting};
use domain::id::{CreditNoteId, DifferenceId, DisputeId, InvoiceId, PaymentId, RefundId};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use crate::error::Error;
use crate::tenant_tx::{TenantTx, Tx};

/// What is booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Booked {
    /// An invoice was finalised.
    Invoice(InvoiceId),
    /// Money came in.
    Payment(PaymentId),
    /// Something of an invoice was taken back.
    CreditNote(CreditNoteId),
    /// An invoice was withdrawn.
    Void(InvoiceId),
    /// An invoice was given up.
    Uncollectible(InvoiceId),
    /// What was given up was paid.
    Recovered(PaymentId),
    /// Money is on its way back.
    Refund(RefundId),
    /// It arrived.
    Refunded(RefundId),
    /// It came back.
    RefundFailed(RefundId),
    /// Money is held back.
    Dispute(DisputeId),
    /// It is there again.
    DisputeWon(DisputeId),
    /// It is lost.
    DisputeLost(DisputeId),
    /// The books follow what a provider says.
    Repair(DifferenceId),
}

impl Booked {
    const fn key(self) -> (&'static str, Uuid) {
        match self {
            Self::Invoice(id) => ("Invoice", id.as_uuid()),
            Self::Payment(id) => ("Payment", id.as_uuid()),
            Self::CreditNote(id) => ("CreditNote", id.as_uuid()),
            Self::Void(id) => ("Void", id.as_uuid()),
            Self::Uncollectible(id) => ("Uncollectible", id.as_uuid()),
            Self::Recovered(id) => ("Recovered", id.as_uuid()),
            Self::Refund(id) => ("Refund", id.as_uuid()),
            Self::Refunded(id) => ("Refunded", id.as_uuid()),
            Self::RefundFailed(id) => ("RefundFailed", id.as_uuid()),
            Self::Dispute(id) => ("Dispute", id.as_uuid()),
            Self::DisputeWon(id) => ("DisputeWon", id.as_uuid()),
            Self::DisputeLost(id) => ("DisputeLost", id.as_uuid()),
            Self::Repair(id) => ("Repair", id.as_uuid()),
        }
    }
}

/// Where what is due of an invoice of this status stands: given up, it is a loss, and not owed any more.
pub(crate) fn due_of(status: &str) -> LedgerAccount {
    if status == "Uncollectible" { LedgerAccount::BadDebt } else { LedgerAccount::Receivable }
}

/// Books a posting about an invoice. The same event a second time is refused by its key.
///
/// # Errors
/// When it is booked already, or the database is gone.
pub(crate) async fn post(
    tx: &mut TenantTx,
    booked: Booked,
    invoice: InvoiceId,
    posting: &Posting,
    now: Timestamp,
) -> Result<(), Error> {
    let (accounts, amounts): (Vec<_>, Vec<_>) = posting
        .entries()
        .iter()
        .map(|(account, amount)| (account.as_str().to_owned(), *amount))
        .unzip();
    if accounts.is_empty() {
        return Ok(());
    }
    let (kind, source) = booked.key();
    sqlx::query!(
        "WITH booked AS (
            INSERT INTO ledger_transactions (tenant_id, kind, source_id, invoice_id, currency, posted_at)
            VALUES ($1, $2, $3, $4, $5, $6)
            RETURNING id
        )
        INSERT INTO ledger_entries (tenant_id, transaction_id, account, amount_minor)
        SELECT $1, booked.id, account, amount_minor
        FROM booked, unnest($7::text[], $8::bigint[]) AS entries (account, amount_minor)",
        tx.tenant_id() as _,
        kind,
        source,
        invoice as _,
        posting.currency.as_str(),
        now.to_sqlx() as _,
        &accounts,
        &amounts
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
