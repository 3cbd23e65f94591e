//! Messages to who pays about invoices: to owners, and to the address in the billing profile.

use domain::id::InvoiceId;
use jobs::catalog::Payer;
use store::TenantTx;
use store::mail_facts::{self, InvoiceFacts, MemberFacts};

use super::{OrUntrue, Undrafted, owners};
use crate::app::App;
use crate::mail::message::Message;
use crate::mail::words::{InvoiceReminder, PaymentFailed, Receipt};

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
    let words = PaymentFailed::new(&member, &invoice, app.account_url.clone());
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
