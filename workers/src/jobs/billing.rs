//! `Billing`: from a period's end to a paid invoice. In that order: [`close`] → [`finalize`] → [`collect`]; [`run`] does
//! it for all, [`advance`] for one tenant on a time of its own.

mod advance;
mod close;
mod collect;
pub(super) mod dunning;
mod finalize;
pub(super) mod paid;
mod reminders;
mod run;
mod statements;
pub(super) mod tell;
mod thresholds;
mod trial_notices;

use jiff::Timestamp;
use jobs::catalog::Billing;
use store::{TenantTx, test_clocks};

use crate::app::App;
use crate::runtime::Perform;
use crate::runtime::attempt::Attempt;
use crate::runtime::outcome::Outcome;

/// What time it is for the tenant of `tx`.
pub(super) async fn tenant_now(app: &App, tx: &mut TenantTx) -> anyhow::Result<Timestamp> {
    Ok(test_clocks::get(tx).await?.map_or_else(|| app.clock.now(), |clock| clock.now))
}

impl Perform for Billing {
    async fn perform(self, app: &App, _attempt: &Attempt) -> anyhow::Result<Outcome> {
        match self {
            Self::Run => run::run(app).await?,
            Self::Thresholds => thresholds::bill_all(app).await?,
            Self::Remind => reminders::remind_all(app).await?,
            Self::Dun => dunning::dun_all(app).await?,
            Self::ImportStatements => statements::import_all(app).await?,
            Self::Advance { tenant_id } => advance::advance(app, tenant_id).await?,
            Self::Collect { tenant_id, invoice_id } => {
                collect::collect(app, tenant_id, invoice_id).await?;
            }
        }
        Ok(Outcome::Done)
    }
}
