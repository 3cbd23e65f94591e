//! Takes on all that is due, many at a time, and any number of processes beside each other: what a transaction has
//! locked nobody else is given, and what was not committed is there for the next.
//!
//! A failure parks the subscription that it concerns, and stops nobody else.

use std::future::Future;

use domain::id::{InvoiceId, TenantId};
use jiff::Timestamp;
use store::TenantTx;
use store::billing::{BillingError, runs};
use store::{subscriptions, usage};

use super::{close, finalize, trial_notices};
use crate::app::App;

/// Subscriptions or drafts of one transaction: what a kill undoes at most, and what is committed at once.
const BATCH: i32 = 50;
/// Transactions of one run at the same time.
const AT_ONCE: usize = 3;

/// What is worked on: a tenant, and the draft where it is one.
type Item = (TenantId, Option<InvoiceId>);

pub(super) async fn run(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    trial_notices::notice_all(app, now).await?;
    side_by_side(|| batch(app, now, Step::Close)).await?;
    side_by_side(|| batch(app, now, Step::Finalize)).await?;
    report(app, now).await
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Close,
    Finalize,
}

/// Works batches until none is left, several at the same time.
async fn side_by_side<F, W>(work: W) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<bool>>,
    W: Fn() -> F,
{
    let lanes = (0..AT_ONCE).map(|_| async {
        while work().await? {}
        anyhow::Ok(())
    });
    futures::future::try_join_all(lanes).await?;
    Ok(())
}

/// One transaction; whether there was anything to do.
async fn batch(app: &App, now: Timestamp, step: Step) -> anyhow::Result<bool> {
    let mut tx = app.store.control().await?;
    let items: Vec<Item> = match step {
        Step::Close => {
            let tenants = runs::lock_due_subscriptions(&mut tx, now, BATCH).await?;
            tenants.into_iter().map(|tenant| (tenant, None)).collect()
        }
        Step::Finalize => {
            let until = usage::complete_until(&mut tx).await?;
            let drafts = runs::lock_due_drafts(&mut tx, now, until, BATCH).await?;
            drafts.into_iter().map(|(tenant, draft)| (tenant, Some(draft))).collect()
        }
    };
    let Some((first, _)) = items.first() else { return Ok(false) };
    let mut tx = tx.enter_tenant(*first).await?;
    let mut all_well = Ok(());
    for (tenant, draft) in &items {
        tx = tx.go_on(*tenant).await?;
        all_well = work(app, &mut tx, *draft, now).await;
        if all_well.is_err() {
            break;
        }
    }
    match all_well {
        Ok(()) => {
            tx.commit().await?;
        }
        // What was half done is undone, with all others of the batch; then each has a transaction of its own.
        Err(_) => {
            drop(tx);
            one_by_one(app, &items, now).await?;
        }
    }
    Ok(true)
}

async fn one_by_one(app: &App, items: &[Item], now: Timestamp) -> anyhow::Result<()> {
    for (tenant, draft) in items {
        let mut tx = app.store.begin(*tenant).await?;
        match work(app, &mut tx, *draft, now).await {
            Ok(()) => {
                tx.commit().await?;
            }
            Err(error) => {
                drop(tx);
                park(app, *tenant, &error, now).await?;
            }
        }
    }
    Ok(())
}

async fn work(
    app: &App,
    tx: &mut TenantTx,
    draft: Option<InvoiceId>,
    now: Timestamp,
) -> anyhow::Result<()> {
    match draft {
        None => close::close(app, tx, now).await,
        Some(draft) => finalize::finalize(app, tx, draft, now).await.map(drop),
    }
}

/// Marks a subscription that cannot be billed. What is wrong with the database is wrong for all: that ends the run.
async fn park(
    app: &App,
    tenant: TenantId,
    error: &anyhow::Error,
    now: Timestamp,
) -> anyhow::Result<()> {
    let unavailable = |error: &store::Error| matches!(error, store::Error::Unavailable(_));
    let store_error = error.downcast_ref::<store::Error>();
    let billing_error = error.downcast_ref::<BillingError>();
    let gone = store_error.is_some_and(unavailable)
        || matches!(billing_error, Some(BillingError::Store(error)) if unavailable(error));
    if gone {
        anyhow::bail!("the database is unavailable: {error:#}");
    }
    tracing::error!(%tenant, "a subscription cannot be billed, and is parked: {error:#}");
    let mut tx = app.store.begin(tenant).await?;
    subscriptions::park(&mut tx, &format!("{error:#}"), now).await?;
    tx.commit().await?;
    Ok(())
}

async fn report(app: &App, now: Timestamp) -> anyhow::Result<()> {
    let mut tx = app.store.control().await?;
    let standing = runs::standing(&mut tx, now).await?;
    tx.commit().await?;
    app.metrics.billing.stands(&standing, now);
    Ok(())
}
