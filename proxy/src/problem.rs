//! Problems that the edge answers with, whatever they come from: a denial, a limit, an error on the way.

use std::borrow::Cow;

use domain::problem::ProblemKind;
use pingora::{Error, ErrorSource, ErrorType};
use policy::Denial;
use policy::routes::Method;

/// A problem to be answered.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) kind: ProblemKind,
    pub(crate) detail: Cow<'static, str>,
    /// Methods for the `Allow` header.
    pub(crate) allow: Vec<Method>,
    /// Names of the limits that refused.
    pub(crate) violated_policies: Vec<String>,
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), allow: Vec::new(), violated_policies: Vec::new() }
    }

    /// The problem that an error of the passage is to the caller; `None` when nobody is there to read it.
    pub(crate) fn of_error(error: &Error) -> Option<Self> {
        use ErrorType::{
            ConnectTimedout, ConnectionClosed, HTTPStatus, ReadError, ReadTimedout,
            TLSHandshakeTimedout, WriteError, WriteTimedout,
        };
        let (kind, detail) = match (error.esource(), error.etype()) {
            (_, HTTPStatus(413)) => (
                ProblemKind::PayloadTooLarge,
                "The body is larger than is taken here; send less at once.",
            ),
            (
                ErrorSource::Upstream,
                ConnectTimedout | TLSHandshakeTimedout | ReadTimedout | WriteTimedout,
            ) => (
                ProblemKind::UpstreamTimeout,
                "The application took too long to answer; try again shortly.",
            ),
            (ErrorSource::Upstream, _) => (
                ProblemKind::UpstreamUnavailable,
                "The application could not be reached or broke off; try again shortly.",
            ),
            (
                ErrorSource::Downstream,
                WriteError | ReadError | ConnectionClosed | WriteTimedout,
            ) => {
                return None;
            }
            (ErrorSource::Downstream, _) => (
                ProblemKind::MalformedRequest,
                "The request could not be read; mend it and send it again.",
            ),
            (ErrorSource::Internal | ErrorSource::Unset, _) => (
                ProblemKind::Internal,
                "Something failed on our side; try again, and contact support with the request id.",
            ),
        };
        Some(Self::new(kind, detail))
    }
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Self {
        Self { allow: denial.allow, ..Self::new(denial.kind, denial.detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_problems_to_whoever_can_read_them() {
        let up = |etype| Error::explain(etype, "x").into_up();
        let down = |etype| Error::explain(etype, "x").into_down();
        let kind = |error: Box<Error>| Problem::of_error(&error).map(|problem| problem.kind);
        assert_eq!(kind(up(ErrorType::ReadTimedout)), Some(ProblemKind::UpstreamTimeout));
        assert_eq!(kind(up(ErrorType::ConnectRefused)), Some(ProblemKind::UpstreamUnavailable));
        assert_eq!(kind(down(ErrorType::HTTPStatus(413))), Some(ProblemKind::PayloadTooLarge));
        assert_eq!(kind(down(ErrorType::ConnectionClosed)), None);
        assert_eq!(kind(down(ErrorType::InvalidHTTPHeader)), Some(ProblemKind::MalformedRequest));
        assert_eq!(
            kind(Error::explain(ErrorType::InternalError, "x")),
            Some(ProblemKind::Internal)
        );
    }
}
