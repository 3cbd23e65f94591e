//! One attempt of one job: decoded, timed, and with its panics caught.
//!
//! All of it inside the handler, not in the library's layers: a panic or a timeout outside the handler is
//! answered with the status "running", and the job then waits for its worker to die.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apalis_core::error::BoxDynError;
use apalis_core::task::Task;
use apalis_core::task::from_request::FromRequest;
use domain::id::JobId;
use futures::FutureExt;
use tracing::Instrument;

use crate::app::App;
use crate::runtime::Perform;
use crate::runtime::fleet::Running;
use crate::runtime::outcome::{Ending, Outcome, aborted, failed};

/// Longest reason that is stored.
const REASON_CHARS_MAX: usize = 2_000;

/// Which attempt of which job.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The job's id: the same in each attempt.
    pub job_id: JobId,
    /// From 1.
    pub number: usize,
    /// The last one's number: the job's own, as it was stored, since the database goes by that.
    pub last: usize,
    /// How long the job has waited since it was due, by the database's clock.
    pub waited: Duration,
    /// W3C trace context of the job's cause.
    pub traceparent: Option<String>,
}

/// The job library handed out a job whose id is not its own form of one.
#[derive(Debug, thiserror::Error)]
#[error("the job has no id that can be read")]
pub struct Nameless;

impl<Args: Sync> FromRequest<Task<Args>> for Attempt {
    type Error = Nameless;

    async fn from_request(task: &Task<Args>) -> Result<Self, Self::Error> {
        let id = task.task_id().ok_or(Nameless)?.to_string();
        let metadata = task.ctx().metadata();
        let waited = metadata.get("waited_us").and_then(|text| text.parse().ok());
        Ok(Self {
            job_id: jobs::repair::job_id(&id).map_err(|_| Nameless)?,
            number: task.attempt(),
            last: task.max_attempts().unwrap_or(usize::MAX),
            waited: Duration::from_micros(waited.unwrap_or_default()),
            traceparent: metadata.get("traceparent").map(str::to_owned),
        })
    }
}

impl Attempt {
    fn failing(&self) -> Ending {
        if self.number >= self.last { Ending::Dead } else { Ending::Retry }
    }
}

/// Makes an attempt, `running` as long as it does. What it returns is for the library, which stores it.
pub(crate) async fn make<J: Perform>(
    app: Arc<App>,
    running: Running,
    payload: Vec<u8>,
    attempt: Attempt,
) -> Result<(), BoxDynError> {
    let Attempt { job_id, number, traceparent, .. } = &attempt;
    let span = tracing::info_span!(
        "job", queue = J::QUEUE, job.id = %job_id, attempt = number,
        traceparent = traceparent.as_deref()
    );
    let result = attempted::<J>(&app, &payload, &attempt).instrument(span).await;
    drop(running);
    result
}

async fn attempted<J: Perform>(
    app: &App,
    payload: &[u8],
    attempt: &Attempt,
) -> Result<(), BoxDynError> {
    let started = Instant::now();
    app.metrics.started(J::QUEUE, attempt.waited);
    let (ending, result) = match jobs::decode::<J>(payload) {
        Ok(job) => settle(app, attempt, guarded(job, app, attempt).await).await,
        Err(error) => (Ending::Undecodable, Err(error.to_string())),
    };
    app.metrics.ended(J::QUEUE, ending, started.elapsed());
    let result = result.map_err(|reason| reason.chars().take(REASON_CHARS_MAX).collect::<String>());
    let Attempt { job_id, number, .. } = attempt;
    match (ending, result) {
        (Ending::Done, _) | (_, Ok(())) => {
            tracing::debug!("{} job {job_id} is done", J::QUEUE);
            Ok(())
        }
        (Ending::Retry, Err(reason)) => {
            tracing::warn!("{} job {job_id} failed at attempt {number}: {reason}", J::QUEUE);
            Err(failed(reason))
        }
        (Ending::Dead, Err(reason)) => {
            tracing::error!("{} job {job_id} is dead after {number} attempts: {reason}", J::QUEUE);
            Err(failed(reason))
        }
        (Ending::Discarded, Err(reason)) => {
            tracing::info!("{} job {job_id} is discarded: {reason}", J::QUEUE);
            Err(aborted(reason))
        }
        (Ending::Undecodable, Err(reason)) => {
            tracing::error!("{} job {job_id} is dead: {reason}", J::QUEUE);
            Err(aborted(reason))
        }
    }
}

/// Performs the job; a panic and a timeout are errors like any other.
async fn guarded<J: Perform>(job: J, app: &App, attempt: &Attempt) -> Result<Outcome, String> {
    let work = AssertUnwindSafe(job.perform(app, attempt)).catch_unwind();
    match tokio::time::timeout(J::TIMEOUT, work).await {
        Ok(Ok(Ok(outcome))) => Ok(outcome),
        Ok(Ok(Err(error))) => Err(format!("{error:#}")),
        Ok(Err(panic)) => Err(format!("panicked: {}", panic_text(panic.as_ref()))),
        Err(_) => Err(format!("took longer than {:?}", J::TIMEOUT)),
    }
}

async fn settle(
    app: &App,
    attempt: &Attempt,
    outcome: Result<Outcome, String>,
) -> (Ending, Result<(), String>) {
    match outcome {
        Ok(Outcome::Done) => (Ending::Done, Ok(())),
        Ok(Outcome::Discard(reason)) => (Ending::Discarded, Err(reason)),
        Ok(Outcome::RetryAfter(pause, reason)) => {
            // Without it the job comes back after the usual pause: sooner than asked, no harm else.
            if let Err(error) = jobs::queue::postpone(app.store.pool(), attempt.job_id, pause).await
            {
                tracing::warn!("the pause of job {} is not stored: {error}", attempt.job_id);
            }
            (attempt.failing(), Err(reason))
        }
        Err(reason) => (attempt.failing(), Err(reason)),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}

#[cfg(test)]
mod tests;
