//! The net under the webhooks: what has had no end for a while is looked up, by the same jobs that began it.

use jiff::{SignedDuration, Timestamp};
use jobs::catalog::Payments;
use jobs::{Options, enqueue};
use store::{ControlTx, charges, disputes, provider_events, refunds};
use uuid::Uuid;

use crate::app::App;

/// What is younger has its own job yet, or a webhook on its way.
const QUIET: SignedDuration = SignedDuration::from_mins(10);
/// Events are kept so long after they came in.
const EVENTS_KEPT: SignedDuration = SignedDuration::from_hours(24 * 90);
/// Rows of one page.
const PAGE: i32 = 500;

/// What may be without an end.
#[derive(Debug, Clone, Copy)]
enum Waiting {
    Charges,
    Refunds,
    Disputes,
}

impl Waiting {
    const ALL: [Self; 3] = [Self::Charges, Self::Refunds, Self::Disputes];

    /// A page by id of what has had no end since `before`, each with the job that looks it up.
    async fn page(
        self,
        tx: &mut ControlTx,
        before: Timestamp,
        after: Option<Uuid>,
    ) -> Result<Vec<(Uuid, Payments)>, store::Error> {
        Ok(match self {
            Self::Charges => {
                let page = charges::unsettled(tx, before, after, PAGE).await?.into_iter();
                page.map(|(tenant_id, charge_id)| {
                    (charge_id.as_uuid(), Payments::Charge { tenant_id, charge_id })
                })
                .collect()
            }
            Self::Refunds => {
                let page = refunds::unsettled(tx, before, after, PAGE).await?.into_iter();
                page.map(|(tenant_id, refund_id)| {
                    (refund_id.as_uuid(), Payments::Refund { tenant_id, refund_id })
                })
                .collect()
            }
            Self::Disputes => {
                let page = disputes::open(tx, after, PAGE).await?.into_iter();
                page.map(|(id, provider, reference)| {
                    (id.as_uuid(), Payments::Dispute { provider, reference })
                })
                .collect()
            }
        })
    }
}

pub(super) async fn poll(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    for waiting in Waiting::ALL {
        look_up_all(app, waiting, now - QUIET).await?;
    }
    let mut tx = app.store.control().await?;
    provider_events::forget(&mut tx, now - EVENTS_KEPT).await?;
    tx.commit().await?;
    Ok(())
}

async fn look_up_all(app: &App, waiting: Waiting, before: Timestamp) -> anyhow::Result<()> {
    let mut after = None;
    loop {
        let mut tx = app.store.control().await?;
        let page = waiting.page(&mut tx, before, after).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(*last);
        for (_, job) in page {
            enqueue(&mut tx, &job, Options::default()).await?;
        }
        tx.commit().await?;
    }
}
