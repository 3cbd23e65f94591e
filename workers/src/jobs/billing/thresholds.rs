//! Pay-as-you-go tenants whose use has come to much: billed now, and not only at the month's end.

use domain::id::{InvoiceId, TenantId};
use jobs::catalog::Billing;
use jobs::{Options, enqueue};
use store::billing::{runs, threshold};

use crate::app::App;

/// Tenants that are asked for at a time.
const PAGE: i32 = 500;

pub(super) async fn bill_all(app: &App) -> anyhow::Result<()> {
    let mut after = None;
    loop {
        let mut tx = app.store.control().await?;
        let tenants = runs::pay_as_you_go(&mut tx, after, PAGE).await?;
        drop(tx);
        let Some(last) = tenants.last().copied() else { return Ok(()) };
        for tenant in tenants {
            // One that cannot be rated is parked by the run that closes its period; others go on.
            if let Err(error) = bill(app, tenant).await {
                tracing::error!(%tenant, "the use of a tenant cannot be billed ahead: {error:#}");
            }
        }
        after = Some(last);
    }
}

async fn bill(app: &App, tenant_id: TenantId) -> anyhow::Result<()> {
    let now = app.clock.now();
    let mut tx = app.store.begin(tenant_id).await?;
    let id = InvoiceId::new(now, rand::random());
    if let Some(billed) = threshold::bill(&mut tx, &app.books, id, now).await? {
        let job = Billing::Collect { tenant_id, invoice_id: billed.id };
        enqueue(&mut tx, &job, Options::default()).await?;
    }
    tx.commit().await?;
    Ok(())
}
