//! Answers that the edge gives itself: problem documents, and whether it is well. The connection stays usable:
//! pingora's own error answers would close it.

use bytes::Bytes;
use domain::problem::ProblemDocument;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use crate::edge::Ctx;
use crate::headers::{self, REQUEST_ID};
use crate::problem::Problem;

/// Removes from an application's answer what is not the application's to say to a client: what concerns the
/// connection to the edge, and what the edge itself says.
pub(crate) fn clean(headers: &mut HeaderMap) {
    let nominated = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        // Where the answer ends is not the application's to hide.
        .filter(|name| *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING);
    let listed = headers.keys().filter(|name| stays_here(name.as_str())).cloned();
    // Of most answers there is nothing to remove, and nothing is allocated.
    let removed: Vec<HeaderName> = nominated.chain(listed).collect();
    for name in &removed {
        headers.remove(name);
    }
}

/// Whether a field of an application's answer ends at the edge (RFC 9110, 7.6.1). `Transfer-Encoding` does not:
/// pingora frames the answer anew by it.
fn stays_here(name: &str) -> bool {
    const HOP_BY_HOP: [&str; 10] = [
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
    ];
    HOP_BY_HOP.contains(&name)
        || matches!(name, "server" | "x-request-id")
        || name.starts_with("x-pytake-")
}

/// Answers with `problem`.
pub(crate) async fn problem(
    session: &mut Session,
    problem: &Problem,
    ctx: &Ctx,
) -> pingora::Result<()> {
    let id = ctx.request_id().to_str().unwrap_or_default();
    let document = ProblemDocument {
        violated_policies: problem.violated_policies.clone(),
        ..ProblemDocument::new(problem.kind, problem.detail.clone(), id)
    };
    // A document of plain text fields always serialises.
    let body = serde_json::to_vec(&document).unwrap_or_default();
    let mut header = ResponseHeader::build_no_case(problem.kind.status(), Some(8))?;
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
    headers::change_answer(&mut header, |headers| ctx.write_limits(headers));
    write(session, header, body, ctx.request_id()).await
}

/// Answers whether the edge is well: `Ok`, or one line that says why not.
pub(crate) async fn health(
    session: &mut Session,
    health: Result<(), String>,
    request_id: &HeaderValue,
) -> pingora::Result<()> {
    let (status, line) = crate::metrics::health_line(health);
    let mut header = ResponseHeader::build_no_case(status, Some(4))?;
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
    header.insert_header(&REQUEST_ID, request_id.clone())?;
    let head_only = session.req_header().method == http::Method::HEAD;
    session.write_response_header(Box::new(header), head_only).await?;
    if head_only {
        return Ok(());
    }
    session.write_response_body(Some(Bytes::from(body)), true).await
}
