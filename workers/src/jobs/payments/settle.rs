//! Where it counts what became of an attempt, whoever tells of it: the answer to the call, a webhook, a look-up, in any
//! order and any number of times. The attempt, the payment, the books, the chasing and all that is told of it change in
//! one transaction.

use domain::event::Action;
use domain::id::{ChargeId, InvoiceId, PaymentId};
use domain::money::Money;
use domain::payment::{Charge as Told, ChargeState, Decline};
use jiff::Timestamp;
use jobs::catalog::SendEmail;
use serde_json::json;
use store::billing::payment::{self, Provider, Recorded, Report};
use store::charges::{self, Charge, ChargeStatus};
use store::{TenantTx, invoices, subscriptions};
use webhooks::events::billing::{InvoicePaymentFailed, PaymentData, PaymentFailed};

use crate::app::App;
use crate::jobs::billing::{dunning, paid, tell};

/// Stores what a provider says of an attempt, and all that follows.
pub(in crate::jobs) async fn settle(
    app: &App,
    tx: &mut TenantTx,
    id: ChargeId,
    told: &Told,
    now: Timestamp,
) -> anyhow::Result<()> {
    // Locked first, as whoever changes what a tenant owes does: nobody waits for the other in turn.
    subscriptions::get_for_update(tx).await?;
    let charge = charges::get_for_update(tx, id).await?;
    if !charge.status.gives_way_to(ChargeStatus::of(&told.state)) {
        return Ok(());
    }
    charges::note_told(tx, id, told, now).await?;
    app.metrics.payments.told(charge.provider, ChargeStatus::of(&told.state));
    match &told.state {
        ChargeState::Succeeded => {
            let provider = Provider::Through(charge.provider);
            let report = Report {
                id: PaymentId::new(now, rand::random()),
                invoice_id: charge.invoice_id,
                provider,
                reference: told.reference.clone(),
                amount: Some(told.amount),
            };
            record(app, tx, &report, now).await?;
        }
        ChargeState::Declined(decline) => declined(app, tx, &charge, decline, now).await?,
        ChargeState::ActionRequired { .. } => {
            let message = |payer| SendEmail::PaymentAction { payer, charge_id: id };
            tell::payers(tx, &format!("payment action {id}"), message).await?;
            if charge.provider.pulls() {
                dunning::begin(app, tx, now).await?;
            }
        }
        ChargeState::Processing | ChargeState::Canceled => {}
    }
    Ok(())
}

/// Records money that came in, once, with all that follows: what is too much pays what else is open, and who has paid is
/// chased no more.
pub(in crate::jobs) async fn record(
    app: &App,
    tx: &mut TenantTx,
    report: &Report,
    now: Timestamp,
) -> anyhow::Result<()> {
    match payment::record(tx, report, now).await? {
        Recorded::New { id, amount, settled, .. } => {
            let changes = json!({
                "invoice": report.invoice_id.to_string(), "amount": amount, "provider": report.provider.as_str(),
            });
            tell::audit(tx, Action::PaymentRecorded, id.to_string(), changes, now).await?;
            paid::tell_of_payment(app, tx, report.invoice_id, id, amount, now).await?;
            if settled {
                paid::tell_of_settlement(app, tx, report.invoice_id, now).await?;
            }
            spend_balance(app, tx, now).await?;
            dunning::review(app, tx, now).await
        }
        Recorded::Before(_) => Ok(()),
        // It cannot be: what was charged is the invoice's own currency. The money is there, so somebody has to look.
        Recorded::NothingDue | Recorded::OtherCurrency => anyhow::bail!(
            "{} {} for {} is there, and cannot be recorded",
            report.provider.as_str(),
            report.reference,
            report.invoice_id
        ),
    }
}

/// What is in credit pays what is open, oldest first.
pub(in crate::jobs) async fn spend_balance(
    app: &App,
    tx: &mut TenantTx,
    now: Timestamp,
) -> anyhow::Result<()> {
    let id = || PaymentId::new(now, rand::random());
    for (invoice, recorded) in payment::spend_balance(tx, id, now).await? {
        let Recorded::New { id, amount, settled, .. } = recorded else { continue };
        paid::tell_of_payment(app, tx, invoice, id, amount, now).await?;
        if settled {
            paid::tell_of_settlement(app, tx, invoice, now).await?;
        }
    }
    Ok(())
}

async fn declined(
    app: &App,
    tx: &mut TenantTx,
    charge: &Charge,
    decline: &Decline,
    now: Timestamp,
) -> anyhow::Result<()> {
    let changes = json!({
        "invoice": charge.invoice_id.to_string(), "attempt": charge.attempt, "provider": charge.provider.as_str(),
        "code": decline.code,
    });
    tell::audit(tx, Action::PaymentFailed, charge.id.to_string(), changes, now).await?;
    let full = invoices::get(tx, charge.invoice_id).await?;
    // What is paid or withdrawn by now was not meant to be collected any more.
    let Some(data) = paid::open(&full) else { return Ok(()) };
    let failed = PaymentFailed(payment(charge.invoice_id, charge.id, full.invoice.due, decline));
    tell::endpoints(app, tx, &failed, format!("payment.failed {}", charge.id), now).await?;
    let uid = format!("invoice.payment_failed {}", charge.id);
    tell::endpoints(app, tx, &InvoicePaymentFailed(data), uid, now).await?;
    let message = |payer| SendEmail::PaymentFailed { payer, invoice_id: charge.invoice_id };
    tell::payers(tx, &format!("payment failed {}", charge.id), message).await?;
    dunning::begin(app, tx, now).await
}

fn payment(invoice: InvoiceId, id: ChargeId, amount: Money, decline: &Decline) -> PaymentData {
    PaymentData {
        invoice_id: invoice.to_string(),
        payment_id: id.to_string(),
        amount: paid::told_amount(amount),
        failure: Some(decline.code.clone()),
    }
}
