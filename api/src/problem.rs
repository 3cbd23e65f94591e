//! Every error becomes a problem document (RFC 9457) here and nowhere else. The cause goes to the log with
//! the request's id; the answer says only what the caller can act on.

use std::fmt::Display;

use axum::response::{IntoResponse, Response};
use domain::faults::{Fault, Faults};
use domain::id::RequestId;
use domain::problem::{ProblemDocument, ProblemKind};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use store::Constraint;
use store::billing::BillingError;

/// Seconds after which a request that met an unavailable database may try again.
const RETRY_AFTER_SECS: u32 = 1;

/// A refusal on its way out. Rendered by [`render`] once the request's id is known.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    kind: ProblemKind,
    detail: String,
    faults: Vec<Fault>,
    retry_after_secs: Option<u32>,
    cause: Option<String>,
}

impl Problem {
    /// A problem of `kind`; `detail` tells what to do next, in a sentence.
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            faults: Vec::new(),
            retry_after_secs: None,
            cause: None,
        }
    }

    /// A fault of ours; `cause` is logged, not told.
    pub(crate) fn internal(cause: impl Display) -> Self {
        let detail = "Try again; if it persists, contact support with the `request_id`.";
        Self { cause: Some(cause.to_string()), ..Self::new(ProblemKind::Internal, detail) }
    }

    /// Nothing there, or nothing that the caller may see.
    pub(crate) fn not_found() -> Self {
        Self::new(ProblemKind::NotFound, "Check the path and the id.")
    }

    /// The same, with what is in the way, each with its place in the body.
    pub(crate) fn because_of(mut self, faults: Faults) -> Self {
        self.faults = faults.into_vec();
        self
    }

    /// The same, with the seconds after which to try again.
    pub(crate) const fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_secs = Some(seconds);
        self
    }

    /// Whether the fault is ours rather than the caller's.
    pub(crate) const fn is_ours(&self) -> bool {
        self.kind.status() >= 500
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What to mend, for a page that a person reads.
    pub(crate) fn for_people(&self) -> String {
        let Some(fault) = self.faults.first() else { return self.detail.clone() };
        let field = fault.pointer.trim_start_matches('/').replace('_', " ");
        format!("The {field} {}.", fault.detail)
    }

    fn unavailable(cause: impl Display) -> Self {
        let detail = "The service is busy or restarting; try again after `Retry-After` seconds.";
        Self { cause: Some(cause.to_string()), ..Self::new(ProblemKind::Overloaded, detail) }
            .retry_after(RETRY_AFTER_SECS)
    }
}

impl From<Faults> for Problem {
    fn from(faults: Faults) -> Self {
        let detail = "Mend the fields listed in `errors` and send the request again.";
        Self { faults: faults.into_vec(), ..Self::new(ProblemKind::ValidationFailed, detail) }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match &error {
            store::Error::NotFound => Self::not_found(),
            store::Error::Stale => Self::new(
                ProblemKind::PreconditionFailed,
                "It was changed meanwhile; read it again and repeat the change.",
            ),
            store::Error::Conflict(constraint) => Self::new(
                ProblemKind::Conflict,
                match constraint {
                    Constraint::TenantsSubdomainUnique => "The subdomain is taken; choose another.",
                    Constraint::MembershipsEmailUnique => {
                        "The address is a member already, or invited; see the list of users."
                    }
                    Constraint::MembershipsUserUnique => "You are a member of this tenant already.",
                    Constraint::UsersVerifiedEmailUnique => {
                        "An account with this address exists; sign in to it instead."
                    }
                    Constraint::PaymentsOnce => {
                        "The reference is that of another payment, which was recorded before."
                    }
                },
            ),
            store::Error::Unavailable(cause) => Self::unavailable(cause),
            store::Error::Unstorable(cause) => Self {
                cause: Some(cause.to_string()),
                ..Self::new(
                    ProblemKind::ValidationFailed,
                    "A value is out of range or cannot be stored.",
                )
            },
            store::Error::Foreign(_) | store::Error::Vault(_) => Self::internal(&error),
            store::Error::Database(cause) => Self::internal(cause),
        }
    }
}

impl From<BillingError> for Problem {
    fn from(error: BillingError) -> Self {
        match error {
            BillingError::Store(error) => error.into(),
            other => Self::internal(other),
        }
    }
}

impl From<vault::VaultError> for Problem {
    fn from(error: vault::VaultError) -> Self {
        Self::internal(error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the document of a problem that a handler answered with; other answers pass unchanged.
pub(crate) fn render(mut response: Response, request_id: RequestId) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    let request_id = request_id.to_string();
    if let Some(cause) = &problem.cause {
        tracing::error!(request.id = request_id, problem = problem.kind.slug(), "{cause}");
    }
    let mut document = ProblemDocument::new(problem.kind, problem.detail, request_id);
    document.errors = problem.faults;
    let body = serde_json::to_vec(&document).unwrap_or_default();
    let mut answer = (response.status(), body).into_response();
    // Headers that the handler set beside the problem (`Allow`) stay.
    for (name, value) in response.headers() {
        if name != http::header::CONTENT_LENGTH {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(ProblemDocument::MEDIA_TYPE));
    if let Some(seconds) = problem.retry_after_secs {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}
