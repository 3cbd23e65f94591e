//! Messages to who pays about invoices: to owners, and to the address in the billing profile.

use domain::id::{ChargeId, InvoiceId, PaymentMethodId};
use domain::payment::ProviderName;
use jobs::catalog::{DunningStage, Payer};
use store::charges::{self, ChargeStatus};
use store::mail_facts::{self, InvoiceFacts, MemberFacts};
use store::{TenantTx, payment_methods, subscriptions};

use super::{OrUntrue, Undrafted, owners};
use crate::app::App;
use crate::mail::message::Message;
use crate::mail::words::{
    Dunning, InvoiceReminder, PaymentAction, PaymentFailed, PaymentMethodExpiring, Receipt,
};

pub(super) async fn receipt(app: &App, payer: Payer, id: InvoiceId) -> Result<Message, Undrafted> {
    let (mut tx, member) = recipient(app, payer).await?;
    let invoice = invoice(&mut tx, id, "Paid").await?;
    let words = Receipt::new(&member, &invoice, app.account_url.clone());
    Ok(Message::of(&member.email, &words)?)
}

pub(super) async fn invoice_reminder(
    app: &App,
    payer: Payer,
    id: InvoiceId,
    days: i16,
) -> Result<Message, Undrafted> {
    let (mut tx, member) = recipient(app, payer).await?;
    let invoice = invoice(&mut tx, id, "Open").await?;
    let words = InvoiceReminder::new(&member, &invoice, days, app.account_url.clone());
    Ok(Message::of(&member.email, &words)?)
}

pub(super) async fn payment_failed(
    app: &App,
    payer: Payer,
    id: InvoiceId,
) -> Result<Message, Undrafted> {
    let (mut tx, member) = recipient(app, payer).await?;
    let invoice = invoice(&mut tx, id, "Open").await?;
    let last = charges::of_invoice(&mut tx, id).await?.pop();
    let hard = last.and_then(|last| last.decline).is_some_and(|(_, hard)| hard);
    let pays = subscriptions::get(&mut tx).await?.pays_by;
    let again = !hard && pays.is_some_and(ProviderName::pulls);
    let words = PaymentFailed::new(&member, &invoice, again, app.account_url.clone());
    Ok(Message::of(&member.email, &words)?)
}

pub(super) async fn payment_action(
    app: &App,
    payer: Payer,
    id: ChargeId,
) -> Result<Message, Undrafted> {
    let (mut tx, member) = recipient(app, payer).await?;
    let charge = charges::get_for_update(&mut tx, id).await.or_untrue("there is no such charge")?;
    if charge.status != ChargeStatus::ActionRequired {
        return Err(Undrafted::Untrue("the payment waits for nobody any more"));
    }
    let invoice = invoice(&mut tx, charge.invoice_id, "Open").await?;
    let link = charge.action_url.or_else(|| app.account_url.clone());
    let words = PaymentAction::new(&member, &invoice, link);
    Ok(Message::of(&member.email, &words)?)
}

pub(super) async fn dunning(
    app: &App,
    payer: Payer,
    id: InvoiceId,
    stage: DunningStage,
) -> Result<Message, Undrafted> {
    let (mut tx, member) = recipient(app, payer).await?;
    let status = if stage == DunningStage::Ended { "Uncollectible" } else { "Open" };
    let invoice = invoice(&mut tx, id, status).await?;
    let words = Dunning::new(&member, &invoice, stage, app.account_url.clone());
    Ok(Message::of(&member.email, &words)?)
}

pub(super) async fn payment_method_expiring(
    app: &App,
    payer: Payer,
    id: PaymentMethodId,
) -> Result<Message, Undrafted> {
    let (mut tx, member) = recipient(app, payer).await?;
    let method = payment_methods::get(&mut tx, id).await.or_untrue("it was removed")?;
    let words = PaymentMethodExpiring::new(&member, &method.label, app.account_url.clone());
    let words = words.filter(|_| method.is_default);
    let words = words.ok_or(Undrafted::Untrue("it is not used, or does not run out, any more"))?;
    Ok(Message::of(&member.email, &words)?)
}

/// Whom it is for, if that is so still.
async fn recipient(app: &App, payer: Payer) -> Result<(TenantTx, MemberFacts), Undrafted> {
    match payer {
        Payer::Owner(owner) => owners::recipient(app, owner).await,
        Payer::Contact { tenant_id } => {
            let mut tx = app.store.begin(tenant_id).await?;
            let contact = mail_facts::billing_contact(&mut tx)
                .await
                .or_untrue("the billing profile has no address, or an owner's")?;
            Ok((tx, contact))
        }
    }
}

/// The invoice, if it stands as the message says.
async fn invoice(
    tx: &mut TenantTx,
    id: InvoiceId,
    status: &str,
) -> Result<InvoiceFacts, Undrafted> {
    let invoice = mail_facts::invoice(tx, id).await.or_untrue("there is no such invoice")?;
    if invoice.status == status {
        Ok(invoice)
    } else {
        Err(Undrafted::Untrue("the invoice has changed since"))
    }
}
