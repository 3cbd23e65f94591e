//! Answers that the edge gives itself: problem documents, and whether it is well. The connection stays usable:
//! pingora's own error answers would close it.

use bytes::Bytes;
use domain::problem::ProblemDocument;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE,
};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use crate::limiter;
use crate::problem::Problem;

pub(crate) const REQUEST_ID: &str = "X-Request-Id";

/// Answers with `problem`.
pub(crate) async fn problem(
    session: &mut Session,
    problem: &Problem,
    request_id: &HeaderValue,
) -> pingora::Result<()> {
    let id = request_id.to_str().unwrap_or_default();
    let document = ProblemDocument::new(problem.kind, problem.detail.clone(), id);
    // A document of plain text fields always serialises.
    let body = serde_json::to_vec(&document).unwrap_or_default();
    let mut header = ResponseHeader::build(problem.kind.status(), Some(8))?;
    header.insert_header(CONTENT_TYPE, ProblemDocument::MEDIA_TYPE)?;
    header.insert_header(CACHE_CONTROL, "no-store")?;
    if problem.kind.status() == 401 {
        header.insert_header(WWW_AUTHENTICATE, "Bearer")?;
    }
    if problem.kind.status() == 503 {
        header.insert_header(http::header::RETRY_AFTER, "1")?;
    }
    if !problem.allow.is_empty() {
        let methods: Vec<_> = problem.allow.iter().map(|method| method.allow()).collect();
        header.insert_header(ALLOW, methods.join(", "))?;
    }
    if let Some(verdict) = &problem.verdict {
        limiter::write_headers(&mut header, verdict)?;
    }
    write(session, header, body, request_id).await
}

/// Answers whether the edge is well: `Ok`, or one line that says why not.
pub(crate) async fn health(
    session: &mut Session,
    health: Result<(), String>,
    request_id: &HeaderValue,
) -> pingora::Result<()> {
    let (status, line) = crate::metrics::health_line(health);
    let mut header = ResponseHeader::build(status, Some(4))?;
    header.insert_header(CONTENT_TYPE, "text/plain; charset=utf-8")?;
    header.insert_header(CACHE_CONTROL, "no-store")?;
    write(session, header, line.into_bytes(), request_id).await
}

async fn write(
    session: &mut Session,
    mut header: ResponseHeader,
    body: Vec<u8>,
    request_id: &HeaderValue,
) -> pingora::Result<()> {
    header.insert_header(CONTENT_LENGTH, body.len())?;
    header.insert_header(REQUEST_ID, request_id.clone())?;
    let head_only = session.req_header().method == http::Method::HEAD;
    session.write_response_header(Box::new(header), head_only).await?;
    if head_only {
        return Ok(());
    }
    session.write_response_body(Some(Bytes::from(body)), true).await
}
