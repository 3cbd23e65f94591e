//! Why a provider did not do what it was asked for. What it did and what came of it (a decline, say) is no error.

use std::time::Duration;

use domain::payment::Decline;

/// Why a call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaymentError {
    /// The way to pay cannot be kept: its provider refuses it.
    #[error("the way to pay was refused: {}", .0.code)]
    Declined(Decline),
    /// Too much was asked for.
    #[error("the provider takes no more calls for now")]
    RateLimited {
        /// Until when, where it says so.
        retry_after: Option<Duration>,
    },
    /// It did not answer, or not in time, or with a fault of its own: what was asked for may have been done. Look up
    /// before asking again.
    #[error("the provider did not answer as it should: {0}")]
    Unavailable(String),
    /// It understood and refused: keys, settings or the request are wrong, and to ask again is of no use.
    #[error("the provider refused the call ({code}): {message}")]
    Refused {
        /// Its word for it.
        code: String,
        /// What it said.
        message: String,
    },
    /// The provider does no such thing.
    #[error("{0}")]
    Unsupported(&'static str),
}

/// Why a webhook is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// The signature is missing, or not of these bytes.
    #[error("the signature does not match")]
    Signature,
    /// It was signed too long ago, or in the future: it may be a replay.
    #[error("the signature is too old")]
    Stale,
    /// It is signed, and not an event.
    #[error("the event cannot be read: {0}")]
    Malformed(String),
    /// Whether it is genuine cannot be told for now.
    #[error("the signature could not be checked: {0}")]
    Unverifiable(PaymentError),
    /// The provider is not set up, or calls nobody.
    #[error("no webhooks are expected of this provider")]
    Unexpected,
}
