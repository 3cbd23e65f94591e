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

/// Puts `request` into its plain form, which [`take_plain`] describes.
pub(crate) fn make_plain(request: &mut RequestHeader) {
    *request = take_plain(request).into();
}

/// The parts of `request` in plain form, to be put back once they are changed: with an origin-form target, as
/// an absolute one would carry the client's idea of the host upstream (RFC 9112, 3.2.2), and no memory of how
/// the client capitalised its headers. pingora keeps a second map for that; HTTP does not care, and each copy
/// and change would cost twice.
pub(crate) fn take_plain(request: &mut RequestHeader) -> request::Parts {
    let (empty, ()) = Request::new(()).into_parts();
    let mut parts: request::Parts = std::mem::replace(request, empty.into()).into();
    if parts.uri.authority().is_some() {
        let path = parts.uri.path_and_query().cloned();
        parts.uri = path.map(http::Uri::from).unwrap_or_default();
    }
    parts
}

/// Changes the headers of an answer, all at once, and forgets its capitals as [`take_plain`] does.
pub(crate) fn change_answer(answer: &mut ResponseHeader, change: impl FnOnce(&mut HeaderMap)) {
    let (empty, ()) = Response::new(()).into_parts();
    let mut parts: response::Parts = std::mem::replace(answer, empty.into()).into();
    parts.headers.reserve(ADDED_TO_ANSWER);
    change(&mut parts.headers);
    *answer = parts.into();
}
