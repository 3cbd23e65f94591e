//! What is told of money that came in: the payment, and the invoice that it settled.

use domain::id::{InvoiceId, PaymentId};
use domain::money::Money;
use jiff::Timestamp;
use jobs::catalog::SendEmail;
use store::TenantTx;
use store::invoices::{self, Full, Invoice};
use webhooks::events::Amount;
use webhooks::events::billing::{InvoiceData, InvoicePaid, PaymentData, PaymentSucceeded};

use super::tell;
use crate::app::App;

/// A payment got through.
pub(in crate::jobs) async fn tell_of_payment(
    app: &App,
    tx: &mut TenantTx,
    invoice: InvoiceId,
    id: PaymentId,
    amount: Money,
    now: Timestamp,
) -> anyhow::Result<()> {
    let told = PaymentSucceeded(PaymentData {
        invoice_id: invoice.to_string(),
        payment_id: id.to_string(),
        amount: told_amount(amount),
        failure: None,
    });
    tell::endpoints(app, tx, &told, format!("payment.succeeded {id}"), now).await
}

/// Nothing more is due of an invoice.
pub(in crate::jobs) async fn tell_of_settlement(
    app: &App,
    tx: &mut TenantTx,
    id: InvoiceId,
    now: Timestamp,
) -> anyhow::Result<()> {
    let full = invoices::get(tx, id).await?;
    let Some(number) = &full.invoice.number else { return Ok(()) };
    let none = Money { amount_minor: 0, ..full.invoice.due };
    let told = InvoicePaid(data(&full.invoice, number, "Paid", none));
    tell::endpoints(app, tx, &told, format!("invoice.paid {id}"), now).await?;
    // Of one that credit notes alone have settled there is nothing to thank for.
    let credited = full.sums.credited_minor > 0 && full.sums.paid_minor == 0;
    if !credited {
        let receipt = |payer| SendEmail::Receipt { payer, invoice_id: id };
        tell::payers(tx, &format!("receipt {id}"), receipt).await?;
    }
    Ok(())
}

/// What is told of an invoice that is open; `None` where it is not.
pub(in crate::jobs) fn open(full: &Full) -> Option<InvoiceData> {
    let number = full.invoice.number.as_ref().filter(|_| full.invoice.status == "Open")?;
    Some(data(&full.invoice, number, "Open", full.invoice.due))
}

pub(super) fn data(invoice: &Invoice, number: &str, status: &str, due: Money) -> InvoiceData {
    InvoiceData {
        invoice_id: invoice.id.to_string(),
        number: number.to_owned(),
        status: status.to_owned(),
        total: told_amount(invoice.total),
        due: told_amount(due),
        period_start: invoice.period.start.to_string(),
        period_end: invoice.period.end.to_string(),
    }
}

pub(in crate::jobs) fn told_amount(money: Money) -> Amount {
    Amount { amount_minor: money.amount_minor, currency: money.currency.to_string() }
}
