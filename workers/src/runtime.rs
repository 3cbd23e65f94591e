//! Runs jobs: one worker a queue, kept alive, restarted when it fails, stopped with its jobs finished.
//! Everything that the job library (apalis) decides badly for us is decided here; see each file's head.

pub mod attempt;
pub mod outcome;
pub mod schedule;

pub(crate) mod fleet;
pub(crate) mod keep_alive;
pub(crate) mod monitor;
pub(crate) mod upkeep;
pub(crate) mod wake_up;

mod payload;
mod poll;

use jobs::catalog::Job;

use crate::app::App;
use crate::runtime::attempt::Attempt;
use crate::runtime::outcome::Outcome;

/// A job that this process knows how to do. It may run twice: it must not matter.
pub trait Perform: Job {
    /// Does the job.
    fn perform(
        self,
        app: &App,
        attempt: &Attempt,
    ) -> impl Future<Output = anyhow::Result<Outcome>> + Send;
}
