//! What a request is counted under: whose it was, by which label, and how it ended.

use domain::id::{ApiKeyId, TenantId, UserId};
use serde::{Deserialize, Serialize};

/// Everything that two requests must have in common to be added to the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The tenant whose usage it is.
    pub tenant: TenantId,
    /// Who called in the tenant's name.
    pub principal: Principal,
    /// The route and its meter, from [`Spool::label`](crate::Spool::label).
    pub label: Label,
    /// How the request ended.
    pub outcome: Outcome,
}

/// Who made a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Principal {
    /// Nobody that is known: an open route, or a credential that was not accepted.
    None,
    /// A program, by its API key.
    ApiKey(ApiKeyId),
    /// A person, by an access token.
    User(UserId),
}

/// How a request ended, as far as usage and its analytics care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Outcome {
    /// 1xx and 2xx.
    Success = 0,
    /// 3xx.
    Redirect = 1,
    /// 4xx, except the refusals.
    ClientError = 2,
    /// 5xx, and anything that is no status at all.
    ServerError = 3,
    /// Answered by the edge itself, or 401, 403 and 429 by whoever gave them.
    Refused = 4,
}

impl Outcome {
    /// Every outcome, at the place of its number.
    pub const ALL: [Self; 5] =
        [Self::Success, Self::Redirect, Self::ClientError, Self::ServerError, Self::Refused];

    /// The outcome of an answer with HTTP status `status`.
    ///
    /// An answer that the edge gave on its own is [`Outcome::Refused`] whatever its status; that is for
    /// the caller to know.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            401 | 403 | 429 => Self::Refused,
            100..300 => Self::Success,
            300..400 => Self::Redirect,
            400..500 => Self::ClientError,
            _ => Self::ServerError,
        }
    }

    /// The name in analytics and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "2xx",
            Self::Redirect => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
            Self::Refused => "refused",
        }
    }

    /// Whether such requests are paid for: the application did what it was asked, or said why it cannot.
    #[must_use]
    pub const fn billable(self) -> bool {
        matches!(self, Self::Success | Self::Redirect | Self::ClientError)
    }
}

/// A route and its meter as one small number, valid for the spool that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(pub(crate) u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_fall_into_outcomes() {
        let cases = [
            (0, "5xx"),
            (99, "5xx"),
            (100, "2xx"),
            (204, "2xx"),
            (299, "2xx"),
            (304, "3xx"),
            (400, "4xx"),
            (401, "refused"),
            (403, "refused"),
            (404, "4xx"),
            (429, "refused"),
            (499, "4xx"),
            (500, "5xx"),
            (599, "5xx"),
            (600, "5xx"),
        ];
        for (status, expected) in cases {
            assert_eq!(Outcome::of_status(status).as_str(), expected, "{status}");
        }
    }

    #[test]
    fn only_answers_of_the_application_are_billable() {
        let billable: Vec<_> = Outcome::ALL.into_iter().filter(|o| o.billable()).collect();
        assert_eq!(billable, [Outcome::Success, Outcome::Redirect, Outcome::ClientError]);
    }
}
