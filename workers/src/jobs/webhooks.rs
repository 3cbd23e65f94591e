//! `Webhooks`: replays, endpoints that fail, and what is too old. Deliveries themselves: `crate::webhooks`.

pub(crate) mod judge;

mod keep_up;
mod replay;

use jobs::catalog::Webhooks;

use crate::app::App;
use crate::runtime::Perform;
use crate::runtime::attempt::Attempt;
use crate::runtime::outcome::Outcome;

impl Perform for Webhooks {
    async fn perform(self, app: &App, _attempt: &Attempt) -> anyhow::Result<Outcome> {
        match self {
            Self::Replay { tenant_id, replay_id } => {
                return replay::replay(app, tenant_id, replay_id).await;
            }
            Self::Judge => judge::judge(app).await?,
            Self::KeepUp => keep_up::keep_up(app).await?,
        }
        Ok(Outcome::Done)
    }
}
