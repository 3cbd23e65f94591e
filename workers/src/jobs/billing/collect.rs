//! How an invoice stands has changed: it was finalised, paid by somebody, withdrawn, or there is another way to pay.
//! Endpoints are told, it is rendered, credit is spent on it, and what is due is charged where there is a way to.
//!
//! A second time, nothing changes: what is told has a key, and an attempt is begun here only if there was none by the way to
//! pay that there is now. The others come by dunning.

use domain::id::{InvoiceId, TenantId};
use jiff::Timestamp;
use jobs::catalog::{Documents, Payments};
use jobs::{Options, enqueue};
use store::charges::{self, ChargeStatus};
use store::invoice_reminders::Reminder;
use store::subscriptions::Running;
use store::{TenantTx, invoices, subscriptions};
use webhooks::events::billing::{InvoiceFinalized, InvoiceVoided};

use super::{dunning, paid, reminders, tell, tenant_now};
use crate::app::App;
use crate::jobs::payments::{charge, settle};

pub(super) async fn collect(app: &App, tenant: TenantId, id: InvoiceId) -> anyhow::Result<()> {
    let mut tx = app.store.begin(tenant).await?;
    let now = tenant_now(app, &mut tx).await?;
    collect_in(app, &mut tx, id, now).await?;
    tx.commit().await?;
    Ok(())
}

/// The same within a transaction.
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
        let told = InvoiceVoided(paid::data(invoice, &number, "Void", invoice.due));
        tell::endpoints(app, tx, &told, format!("invoice.voided {id}"), now).await?;
        return dunning::review(app, tx, now).await;
    }
    let told = InvoiceFinalized(paid::data(invoice, &number, "Open", invoice.due));
    tell::endpoints(app, tx, &told, format!("invoice.finalized {id}"), now).await?;
    let document = Documents::Invoice { tenant_id: tx.tenant_id(), invoice_id: id };
    let once = Options { idempotency_key: Some(id.to_string()), ..Options::default() };
    enqueue(tx, &document, once).await?;
    // What operators recorded is told of here: their listener has no key to seal it with.
    for payment in &full.payments {
        paid::tell_of_payment(app, tx, id, payment.id, payment.amount, now).await?;
    }
    if invoice.status == "Paid" {
        paid::tell_of_settlement(app, tx, id, now).await?;
    }
    settle::spend_balance(app, tx, now).await?;
    if invoices::get(tx, id).await?.invoice.status == "Open" {
        ask(app, tx, &running, id, now).await?;
    }
    dunning::review(app, tx, now).await
}

/// Whoever is to pay is charged, or asked to.
async fn ask(
    app: &App,
    tx: &mut TenantTx,
    running: &Running,
    id: InvoiceId,
    now: Timestamp,
) -> anyhow::Result<()> {
    let method = charge::default_method(tx).await?;
    let last = charges::of_invoice(tx, id).await?.pop();
    match last {
        // Somebody was asked to confirm a way to pay that is not the one any more.
        Some(last)
            if last.status == ChargeStatus::ActionRequired
                && method != Some(last.payment_method_id) =>
        {
            let job = Payments::Charge { tenant_id: tx.tenant_id(), charge_id: last.id };
            enqueue(tx, &job, Options::default()).await?;
        }
        Some(last) if last.status.is_under_way() || method == Some(last.payment_method_id) => {}
        _ => charge::begin(app, tx, id, now).await?,
    }
    let asked = running.pays_by.is_none_or(|name| !name.pulls());
    if asked && invoices::get(tx, id).await?.invoice.status == "Open" {
        // Nobody collects it: the first reminder comes with it.
        let days = -i16::try_from(app.books.terms.payment_days).unwrap_or(i16::MAX);
        reminders::remind(tx, Reminder { invoice_id: id, days }, now).await?;
    }
    Ok(())
}
