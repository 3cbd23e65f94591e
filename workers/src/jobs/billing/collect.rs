//! An invoice was finalised: endpoints are told, it is rendered, and what is due is collected where there is a way to.

use domain::event::Action;
use domain::id::{InvoiceId, PaymentId, TenantId};
use domain::money::Money;
use domain::payment::ProviderName;
use jiff::Timestamp;
use jobs::catalog::{Documents, SendEmail};
use jobs::{Options, enqueue};
use serde_json::json;
use store::billing::payment::{self, Provider, Recorded, Report};
use store::invoice_reminders::Reminder;
use store::invoices::{self, Invoice};
use store::{TenantTx, subscriptions, test_clocks};
use webhooks::events::Amount;
use webhooks::events::billing::{
    InvoiceData, InvoiceFinalized, InvoicePaid, InvoiceVoided, PaymentData, PaymentSucceeded,
};

use super::{reminders, tell};
use crate::app::App;

pub(super) async fn collect(app: &App, tenant: TenantId, id: InvoiceId) -> anyhow::Result<()> {
    let mut tx = app.store.begin(tenant).await?;
    let clock = test_clocks::get(&mut tx).await?;
    let now = clock.map_or_else(|| app.clock.now(), |clock| clock.now);
    collect_in(app, &mut tx, id, now).await?;
    tx.commit().await?;
    Ok(())
}

/// The same within a transaction. A second time, it changes nothing.
pub(super) async fn collect_in(
    app: &App,
    tx: &mut TenantTx,
    id: InvoiceId,
    now: Timestamp,
) -> anyhow::Result<()> {
    // Locked first, as whoever changes the subscription does: nobody waits for the other in turn.
    let running = subscriptions::get_for_update(tx).await?;
    let full = invoices::get(tx, id).await?;
    let invoice = &full.invoice;
    let Some(number) = invoice.number.clone() else { return Ok(()) };
    if invoice.status == "Void" {
        let told = InvoiceVoided(data(invoice, &number, "Void", invoice.due));
        return tell::endpoints(app, tx, &told, format!("invoice.voided {id}"), now).await;
    }
    let told = InvoiceFinalized(data(invoice, &number, "Open", invoice.due));
    tell::endpoints(app, tx, &told, format!("invoice.finalized {id}"), now).await?;
    let document = Documents::Invoice { tenant_id: tx.tenant_id(), invoice_id: id };
    let once = Options { idempotency_key: Some(id.to_string()), ..Options::default() };
    enqueue(tx, &document, once).await?;
    // What operators recorded is told of here: their listener has no key to seal it with.
    for payment in &full.payments {
        tell_of_payment(app, tx, id, payment.id, payment.amount, now).await?;
    }
    let mut paid = invoice.status == "Paid";
    let collectable = app.books.terms.charges && running.payment_method_sealed.is_some();
    if invoice.status == "Open" && collectable {
        paid = charge(app, tx, invoice, now).await?;
    }
    if paid {
        let none = Money { amount_minor: 0, ..invoice.due };
        let told = InvoicePaid(data(invoice, &number, "Paid", none));
        tell::endpoints(app, tx, &told, format!("invoice.paid {id}"), now).await?;
        // Of one that credit notes alone have settled there is nothing to thank for.
        let credited = full.sums.credited_minor > 0 && full.sums.paid_minor == 0;
        if !credited {
            let receipt = |payer| SendEmail::Receipt { payer, invoice_id: id };
            tell::payers(tx, &format!("receipt {id}"), receipt).await?;
        }
    } else if invoice.status == "Open" && !collectable {
        // Nobody collects it: the first reminder comes with it.
        let days = -i16::try_from(app.books.terms.payment_days).unwrap_or(i16::MAX);
        reminders::remind(tx, Reminder { invoice_id: id, days }, now).await?;
    }
    Ok(())
}

async fn tell_of_payment(
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

/// The sandbox takes any card, and at once. Under the invoice's id: it is charged once.
async fn charge(
    app: &App,
    tx: &mut TenantTx,
    invoice: &Invoice,
    now: Timestamp,
) -> anyhow::Result<bool> {
    let report = Report {
        id: PaymentId::new(now, rand::random()),
        invoice_id: invoice.id,
        provider: Provider::Through(ProviderName::Sandbox),
        reference: invoice.id.to_string(),
        amount: None,
    };
    let Recorded::New { id, amount, settled, .. } = payment::record(tx, &report, now).await? else {
        return Ok(false);
    };
    let changes =
        json!({ "invoice": invoice.id.to_string(), "amount": amount, "provider": "Sandbox" });
    tell::audit(tx, Action::PaymentRecorded, id.to_string(), changes, now).await?;
    tell_of_payment(app, tx, invoice.id, id, amount, now).await?;
    Ok(settled)
}

fn data(invoice: &Invoice, number: &str, status: &str, due: Money) -> InvoiceData {
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

fn told_amount(money: Money) -> Amount {
    Amount { amount_minor: money.amount_minor, currency: money.currency.to_string() }
}
