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
    /// Through one of them.
    Through(ProviderName),
    /// An operator says so.
    Manual,
    /// It was taken from what the tenant has in credit.
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

    /// Where it is booked.
    #[must_use]
    pub const fn cash(self) -> LedgerAccount {
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
    // A charge that got through although its invoice was withdrawn is the customer's money: all of it goes to the balance.
    // A transfer waits for an operator, who knows what else it may be for.
    let void = invoice.status == "Void";
    let charged =
        matches!(report.provider, Provider::Through(name) if name != ProviderName::BankTransfer);
    let late = void && charged && report.amount.is_some();
    if amount.amount_minor <= 0 || invoice.status == "Draft" || (void && !late) {
        return Ok(Recorded::NothingDue);
    }
    let due_minor = if void { 0 } else { invoice.due_minor };
    let spent = Allocation::of(amount.amount_minor, due_minor);
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

/// What the tenant has in credit pays what is open, oldest first (§2.13). What was paid so; nothing a second time.
///
/// # Errors
/// When the database is gone.
pub async fn spend_balance(
    tx: &mut TenantTx,
    mut id: impl FnMut() -> PaymentId,
    now: Timestamp,
) -> Result<Vec<(InvoiceId, Recorded)>, BillingError> {
    let open = sqlx::query!(
        r#"SELECT invoices.id AS "invoice_id: InvoiceId", invoices.currency,
            (SELECT count(*) FROM payments
                WHERE payments.tenant_id = $1 AND invoice_id = invoices.id AND provider = 'Balance') AS "before!"
        FROM invoices
        JOIN credit_balances ON credit_balances.tenant_id = $1 AND credit_balances.currency = invoices.currency
        WHERE invoices.tenant_id = $1 AND status = 'Open' AND due_minor > 0 AND balance_minor > 0
        ORDER BY finalized_at, invoices.id"#,
        tx.tenant_id() as _
    )
    .fetch_all(tx.connection())
    .await?;
    let mut spent = Vec::new();
    for row in open {
        let currency = row.currency.parse().map_err(|_| Error::Foreign("invoices.currency"))?;
        // Read anew for each, and locked: the one before took of it.
        let left = sqlx::query!(
            r#"SELECT balance_minor, due_minor AS "due_minor!"
            FROM credit_balances
            JOIN invoices ON invoices.tenant_id = $1 AND invoices.id = $2 AND status = 'Open'
            WHERE credit_balances.tenant_id = $1 AND credit_balances.currency = $3
            FOR UPDATE"#,
            tx.tenant_id() as _,
            row.invoice_id as _,
            row.currency
        )
        .fetch_optional(tx.connection())
        .await?;
        let Some(left) = left else { continue };
        let amount_minor = left.balance_minor.min(left.due_minor);
        if amount_minor <= 0 {
            continue;
        }
        let report = Report {
            id: id(),
            invoice_id: row.invoice_id,
            provider: Provider::Balance,
            reference: format!("{}:{}", row.invoice_id, row.before + 1),
            amount: Some(Money { amount_minor, currency }),
        };
        spent.push((row.invoice_id, record(tx, &report, now).await?));
    }
    Ok(spent)
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
