//! What a job's attempt came to, and how the job library is told.

use std::time::Duration;

use apalis_core::error::{AbortError, BoxDynError};

/// What a handler answers. An unexpected error is an answer too: tried again after the usual pause.
#[derive(Debug)]
pub enum Outcome {
    /// Done.
    Done,
    /// Not yet; not before this pause is over. Counts as an attempt.
    RetryAfter(Duration, String),
    /// Never: kept as a dead letter with the reason.
    Discard(String),
}

/// How an attempt ended, for metrics and log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Done.
    Done,
    /// To be tried again.
    Retry,
    /// Given up by the handler.
    Discarded,
    /// Given up: it was the last attempt.
    Dead,
    /// The payload could not be read.
    Undecodable,
}

impl Ending {
    /// Every ending.
    pub(crate) const ALL: [Self; 5] =
        [Self::Done, Self::Retry, Self::Discarded, Self::Dead, Self::Undecodable];

    /// The label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry => "retry",
            Self::Discarded => "discarded",
            Self::Dead => "dead",
            Self::Undecodable => "undecodable",
        }
    }
}

/// Why an attempt failed; stored as the job's last result.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Reason(String);

/// The job is tried again, by the pause that the database's trigger stores. The library's own
/// `RetryAfterError` is not used: it ignores the pause and the limit.
pub(crate) fn failed(reason: String) -> BoxDynError {
    Box::new(Reason(reason))
}

/// The job is a dead letter at once.
pub(crate) fn aborted(reason: String) -> BoxDynError {
    Box::new(AbortError::new(Reason(reason)))
}
