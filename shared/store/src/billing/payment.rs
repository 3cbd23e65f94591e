//! Money that came in for an invoice. Recorded once, however often it is reported.

use billing::{Allocation, LedgerAccount, Posting};
use domain::id::{InvoiceId, PaymentId};
use domain::money::Money;
use domain::payment::ProviderName;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use super::BillingError;
use crate::error::Error;
use crate::ledger::{self, Booked};
use crate::tenant_tx::{TenantTx, Tx};

/// Through whom it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// One of those who move money.
    Through(ProviderName),
    /// An operator says so.
    Manual,
    /// It was taken from the tenant's balance.
    Balance,
}

impl Provider {
    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Through(name) => name.as_str(),
            Self::Manual => "Manual",
            Self::Balance => "Balance",
        }
    }

    const fn cash(self) -> LedgerAccount {
        match self {
            Self::Through(ProviderName::Sandbox) => LedgerAccount::CashSandbox,
            Self::Through(ProviderName::Stripe) => LedgerAccount::CashStripe,
            Self::Through(ProviderName::PayPal) => LedgerAccount::CashPayPal,
            Self::Through(ProviderName::BankTransfer) => LedgerAccount::CashBankTransfer,
            Self::Through(ProviderName::BtcPay) => LedgerAccount::CashBtcPay,
            Self::Manual => LedgerAccount::CashManual,
            Self::Balance => LedgerAccount::Credit,
        }
    }
}

/// A payment as it is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The id that it will have.
    pub id: PaymentId,
    /// For which invoice.
    pub invoice_id: InvoiceId,
    /// Through whom.
    pub provider: Provider,
    /// Their reference of it: with it the payment is recorded once.
    pub reference: String,
    /// How much; `None`: what is due.
    pub amount: Option<Money>,
}

/// What came of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// It is recorded, and spent so.
    New {
        /// The payment.
        id: PaymentId,
        /// How much it was.
        amount: Money,
        /// How it was spent.
        spent: Allocation,
        /// Whether the invoice is paid by it.
        settled: bool,
    },
    /// It was recorded before.
    Before(PaymentId),
    /// The invoice is a draft, or void, or nothing is due of it and no amount was named.
    NothingDue,
    /// The invoice is of another currency.
    OtherCurrency,
}

/// Records a payment: what is due is paid, the rest goes to the balance.
///
/// # Errors
/// `NotFound` when there is no such invoice; when the database is gone.
pub async fn record(
    tx: &mut TenantTx,
    report: &Report,
    now: Timestamp,
) -> Result<Recorded, BillingError> {
    // The invoice is locked: of two reports at once the second sees the first.
    let invoice = sqlx::query!(
        r#"SELECT status, currency, due_minor AS "due_minor!" FROM invoices
        WHERE tenant_id = $1 AND id = $2 FOR UPDATE"#,
        tx.tenant_id() as _,
        report.invoice_id as _
    )
    .fetch_one(tx.connection())
    .await?;
    let before = sqlx::query_scalar!(
        r#"SELECT id AS "id: PaymentId" FROM payments WHERE tenant_id = $1 AND provider = $2 AND reference = $3"#,
        tx.tenant_id() as _,
        report.provider.as_str(),
        report.reference
    )
    .fetch_optional(tx.connection())
    .await?;
    if let Some(id) = before {
        return Ok(Recorded::Before(id));
    }
    let currency = invoice.currency.parse().map_err(|_| Error::Foreign("invoices.currency"))?;
    let amount = report.amount.unwrap_or(Money { amount_minor: invoice.due_minor, currency });
    if amount.currency != currency {
        return Ok(Recorded::OtherCurrency);
    }
    if amount.amount_minor <= 0 || matches!(invoice.status.as_str(), "Draft" | "Void") {
        return Ok(Recorded::NothingDue);
    }
    let spent = Allocation::of(amount.amount_minor, invoice.due_minor);
    if invoice.status == "Uncollectible" {
        // What comes in after all is owed again first.
        let posting = Posting::moved(
            currency,
            LedgerAccount::Receivable,
            LedgerAccount::BadDebt,
            spent.paid_minor,
        );
        ledger::post(tx, Booked::Recovered(report.id), report.invoice_id, &posting, now).await?;
    }
    insert(tx, report, amount, spent, now).await?;
    let posting = Posting::payment(currency, report.provider.cash(), spent);
    ledger::post(tx, Booked::Payment(report.id), report.invoice_id, &posting, now).await?;
    let settled = spent.paid_minor > 0 && spent.paid_minor == invoice.due_minor;
    sqlx::query!(
        "UPDATE invoices SET paid_minor = paid_minor + $3, status = CASE WHEN $4 THEN 'Paid' ELSE status END,
            ended_at = CASE WHEN $4 THEN $5 ELSE ended_at END
        WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        report.invoice_id as _,
        spent.paid_minor,
        settled,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(Recorded::New { id: report.id, amount, spent, settled })
}

async fn insert(
    tx: &mut TenantTx,
    report: &Report,
    amount: Money,
    spent: Allocation,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO payments (tenant_id, id, invoice_id, provider, reference, currency, amount_minor,
            excess_minor, received_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        tx.tenant_id() as _,
        report.id as _,
        report.invoice_id as _,
        report.provider.as_str(),
        report.reference,
        amount.currency.as_str(),
        amount.amount_minor,
        spent.excess_minor,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
