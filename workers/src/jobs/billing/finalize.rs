//! A draft's grace is over: it becomes an invoice, and the job that collects it is there in the same transaction. On a test
//! clock it is collected at once: what comes of it belongs to the same instant.

use domain::id::InvoiceId;
use jiff::Timestamp;
use jobs::catalog::Billing;
use jobs::{Options, enqueue};
use store::billing::finalize::{self, Finalized};
use store::{TenantTx, subscriptions};

use super::collect;
use crate::app::App;

/// Finalises a draft; `None` where there is nothing to bill, or it was done before.
pub(super) async fn finalize(
    app: &App,
    tx: &mut TenantTx,
    draft: InvoiceId,
    now: Timestamp,
) -> anyhow::Result<Option<Finalized>> {
    let running = subscriptions::get_for_update(tx).await?;
    let finalized = finalize::finalize(tx, &app.books, &running, draft, now).await?;
    let Some(done) = &finalized else { return Ok(None) };
    if running.on_test_clock {
        collect::collect_in(app, tx, done.id, now).await?;
    } else {
        let job = Billing::Collect { tenant_id: tx.tenant_id(), invoice_id: done.id };
        enqueue(tx, &job, Options::default()).await?;
    }
    Ok(finalized)
}
