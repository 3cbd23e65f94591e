//! `disputes`: payments that their payers dispute. While one is open the provider holds the money back; won, it is there
//! again; lost, it is gone. The invoice stays paid: who is to be chased for it is for people to decide.

use billing::{LedgerAccount, Posting};
use domain::id::{DisputeId, InvoiceId, PaymentId};
use domain::payment::{Dispute as Told, DisputeState, ProviderName};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use crate::billing::payment::Provider;
use crate::error::Error;
use crate::ledger::{self, Booked};
use crate::payment_methods::provider;
use crate::tenant_tx::{ControlTx, TenantTx, Tx};

/// What became of a dispute that a provider told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// It was opened, for this invoice.
    Opened(InvoiceId),
    /// It was closed, for this invoice.
    Closed(InvoiceId),
    /// It was known.
    Known,
    /// The payment is not on record yet; it will be told of again.
    NoPayment,
}

/// Records what a provider says of a dispute. Of one that is closed when it is first heard of, both is booked.
///
/// # Errors
/// When the database is gone.
pub async fn record(
    tx: &mut TenantTx,
    id: DisputeId,
    through: ProviderName,
    told: &Told,
    now: Timestamp,
) -> Result<Became, Error> {
    let payment = sqlx::query!(
        r#"SELECT id AS "id: PaymentId", invoice_id AS "invoice_id: InvoiceId" FROM payments
        WHERE tenant_id = $1 AND provider = $2 AND reference = $3"#,
        tx.tenant_id() as _,
        through.as_str(),
        told.charge_reference
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(payment) = payment else { return Ok(Became::NoPayment) };
    let inserted = sqlx::query!(
        "INSERT INTO disputes (tenant_id, id, payment_id, reference, currency, amount_minor, reason, state, opened_at)
        VALUES ($1, $2, $3, $4, $5, $6, left($7, 200), 'Open', $8)
        ON CONFLICT (tenant_id, reference) DO NOTHING",
        tx.tenant_id() as _,
        id as _,
        payment.id as _,
        told.reference,
        told.amount.currency.as_str(),
        told.amount.amount_minor,
        told.reason,
        told.opened_at.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    let dispute = sqlx::query!(
        r#"SELECT id AS "id: DisputeId", amount_minor, state FROM disputes
        WHERE tenant_id = $1 AND reference = $2 FOR UPDATE"#,
        tx.tenant_id() as _,
        told.reference
    )
    .fetch_one(tx.connection())
    .await?;
    let (invoice, amount) = (payment.invoice_id, dispute.amount_minor);
    let cash = Provider::Through(through).cash();
    let moved = |debit, credit| Posting::moved(told.amount.currency, debit, credit, amount);
    let opened = inserted.rows_affected() == 1;
    if opened {
        let posting = moved(LedgerAccount::Disputed, cash);
        ledger::post(tx, Booked::Dispute(dispute.id), invoice, &posting, now).await?;
    }
    let (booked, posting) = match told.state {
        DisputeState::Open => {
            return Ok(if opened { Became::Opened(invoice) } else { Became::Known });
        }
        _ if dispute.state != "Open" => return Ok(Became::Known),
        DisputeState::Won => (Booked::DisputeWon(dispute.id), moved(cash, LedgerAccount::Disputed)),
        DisputeState::Lost => (
            Booked::DisputeLost(dispute.id),
            moved(LedgerAccount::BadDebt, LedgerAccount::Disputed),
        ),
    };
    sqlx::query!(
        "UPDATE disputes SET state = $3, closed_at = $4 WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        dispute.id as _,
        told.state.as_str(),
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    ledger::post(tx, booked, invoice, &posting, now).await?;
    Ok(Became::Closed(invoice))
}

/// Whether one is open.
///
/// # Errors
/// When the database is gone.
pub async fn any_open(tx: &mut TenantTx) -> Result<bool, Error> {
    let open = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM disputes WHERE tenant_id = $1 AND state = 'Open') AS "open!""#,
        tx.tenant_id() as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(open)
}

/// Disputes of all tenants that are open, in pages by id: with whom, and by the provider's id.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn open(
    tx: &mut ControlTx,
    after: Option<Uuid>,
    count: i32,
) -> Result<Vec<(DisputeId, ProviderName, String)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT dispute_id AS "id!: DisputeId", provider AS "provider!", reference AS "reference!"
        FROM open_disputes($1, $2)"#,
        after,
        count
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter().map(|row| Ok((row.id, provider(&row.provider)?, row.reference))).collect()
}
