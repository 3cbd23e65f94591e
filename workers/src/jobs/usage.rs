//! `Usage`: what was counted, rolled up, checked and kept.

mod check;
mod keep_up;
pub(crate) mod roll_up;

use jobs::catalog::Usage;

use crate::app::App;
use crate::runtime::Perform;
use crate::runtime::attempt::Attempt;
use crate::runtime::outcome::Outcome;

impl Perform for Usage {
    async fn perform(self, app: &App, _attempt: &Attempt) -> anyhow::Result<Outcome> {
        match self {
            Self::RollUp => roll_up::roll_up(app).await?,
            Self::Check => check::check(app).await?,
            Self::KeepUp => keep_up::keep_up(app).await?,
        }
        Ok(Outcome::Done)
    }
}
