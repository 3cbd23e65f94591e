//! `Documents`: invoices and credit notes as PDF, rendered once after they were finalised.

mod page;

use domain::id::{CreditNoteId, InvoiceId, TenantId};
use jobs::catalog::Documents;
use store::{credit_notes, invoice_documents, invoices};

use crate::app::App;
use crate::runtime::Perform;
use crate::runtime::attempt::Attempt;
use crate::runtime::outcome::Outcome;

impl Perform for Documents {
    async fn perform(self, app: &App, _attempt: &Attempt) -> anyhow::Result<Outcome> {
        match self {
            Self::Invoice { tenant_id, invoice_id } => invoice(app, tenant_id, invoice_id).await?,
            Self::CreditNote { tenant_id, credit_note_id } => {
                credit_note(app, tenant_id, credit_note_id).await?;
            }
        }
        Ok(Outcome::Done)
    }
}

async fn invoice(app: &App, tenant: TenantId, id: InvoiceId) -> anyhow::Result<()> {
    let mut tx = app.store.begin(tenant).await?;
    let full = invoices::get(&mut tx, id).await?;
    // A draft is no document yet.
    let Some(document) = page::invoice(&full) else { return Ok(()) };
    let pdf = invoice_pdf::render(&document)?;
    invoice_documents::insert(&mut tx, id.as_uuid(), &pdf, app.clock.now()).await?;
    tx.commit().await?;
    Ok(())
}

async fn credit_note(app: &App, tenant: TenantId, id: CreditNoteId) -> anyhow::Result<()> {
    let mut tx = app.store.begin(tenant).await?;
    let note = credit_notes::get(&mut tx, id).await?;
    let full = invoices::get(&mut tx, note.invoice_id).await?;
    let Some(document) = page::credit_note(&note, &full) else { return Ok(()) };
    let pdf = invoice_pdf::render(&document)?;
    invoice_documents::insert(&mut tx, id.as_uuid(), &pdf, app.clock.now()).await?;
    tx.commit().await?;
    Ok(())
}
