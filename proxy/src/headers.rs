//! The headers that the edge reads and sets. Names are statics: to parse one costs more than to look it up.

use http::header::{HeaderMap, HeaderName};
use http::{Request, Response, request, response};
use pingora::http::{RequestHeader, ResponseHeader};

pub(crate) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) static API_KEY: HeaderName = HeaderName::from_static("x-api-key");
pub(crate) static TENANT: HeaderName = HeaderName::from_static("x-tenant-id");
pub(crate) static TRACE: HeaderName = HeaderName::from_static("traceparent");
pub(crate) static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) static LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(crate) static LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// The API's word for "this wrote": stripped, and waited for.
pub(crate) static COMMITTED: HeaderName = HeaderName::from_static("x-pytake-committed");

/// Most headers that the edge or pingora adds to an answer.
const ADDED_TO_ANSWER: usize = 6;

/// Forgets how the client capitalised its headers, and makes the target origin-form: an absolute one would
/// carry the client's idea of the host upstream (RFC 9112, 3.2.2).
///
/// pingora keeps a second map for the capitals; HTTP does not care, and each copy and change costs twice.
pub(crate) fn make_plain(request: &mut RequestHeader) {
    let mut parts = take_request(request);
    if parts.uri.authority().is_some() {
        let path = parts.uri.path_and_query().cloned();
        parts.uri = path.map(http::Uri::from).unwrap_or_default();
    }
    *request = parts.into();
}

/// The parts of `request`, to be put back once they are changed.
pub(crate) fn take_request(request: &mut RequestHeader) -> request::Parts {
    let (empty, ()) = Request::new(()).into_parts();
    std::mem::replace(request, empty.into()).into()
}

/// Changes the headers of an answer, all at once, and forgets its capitals as [`make_plain`] does.
pub(crate) fn change_answer(answer: &mut ResponseHeader, change: impl FnOnce(&mut HeaderMap)) {
    let (empty, ()) = Response::new(()).into_parts();
    let mut parts: response::Parts = std::mem::replace(answer, empty.into()).into();
    parts.headers.reserve(ADDED_TO_ANSWER);
    change(&mut parts.headers);
    *answer = parts.into();
}
