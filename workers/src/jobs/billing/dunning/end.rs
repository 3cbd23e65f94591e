//! The end of a case: nobody paid. The subscription ends at once, and the free plan follows; what is owed is given up, and
//! still taken if it comes.

use domain::event::Action;
use domain::id::{InvoiceId, SubscriptionChangeId};
use domain::plan::{BillingCycle, PlanName};
use domain::standing::Standing;
use jiff::Timestamp;
use jobs::catalog::DunningStage;
use serde_json::json;
use store::billing::account;
use store::billing::finalize::give_up;
use store::billing::turn::{self, Ids};
use store::dunning::{self, Case, Ending};
use store::{TenantTx, subscriptions};

use super::{notice, owed, stand};
use crate::app::App;
use crate::jobs::billing::{close, tell};

pub(super) async fn end(
    app: &App,
    tx: &mut TenantTx,
    case: &Case,
    now: Timestamp,
) -> anyhow::Result<()> {
    // A period that is over is closed by the terms that it had.
    close::close(app, tx, now).await?;
    let loaded = account::load(tx, &app.books, false).await?;
    let running = &loaded.running;
    for owed in owed(app, tx, running, now).await? {
        give_up(tx, owed.invoice_id, now).await?;
    }
    dunning::end(tx, case.id, Ending::Canceled, now).await?;
    notice(tx, case, DunningStage::Ended).await?;
    if running.plan != PlanName::Free {
        let free =
            account::newest(tx, &app.books, running, PlanName::Free, BillingCycle::Monthly).await?;
        let turn = billing::terminate(loaded.account(false), &free, now)?;
        let ids = Ids {
            change: SubscriptionChangeId::new(now, rand::random()),
            invoice: InvoiceId::new(now, rand::random()),
        };
        turn::carry_out(tx, &app.books, &loaded, &turn, ids, false, now).await?;
        let changes = json!({
            "kind": "Canceled", "plan": turn.after.plan, "billing_cycle": turn.after.cycle,
            "effective_at": now.to_string(), "case": case.id.to_string(),
        });
        let (action, target) = (Action::SubscriptionChanged, running.id.to_string());
        tell::audit(tx, action, target, changes, now).await?;
        tell::subscription(app, tx, &turn.after, Standing::Good, true, now).await?;
    }
    let running = subscriptions::get(tx).await?;
    stand(app, tx, &running, Standing::Good, &format!("{} ended", case.id), now).await
}
