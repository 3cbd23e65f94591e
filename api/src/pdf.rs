//! Documents as they were rendered once: the same bytes each time.

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use ring::digest;
use store::{TenantTx, invoice_documents};
use uuid::Uuid;

use crate::problem::Problem;

/// Seconds after which a document is rendered, as a rule.
const RENDERING_SECS: u32 = 2;

/// The document of the invoice or credit note `id`, for whoever asks with `headers`; 202 until it is rendered.
pub(crate) async fn respond(
    tx: &mut TenantTx,
    id: Uuid,
    number: &str,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let Some(pdf) = invoice_documents::get(tx, id).await? else {
        let later = [(RETRY_AFTER, HeaderValue::from(RENDERING_SECS))];
        return Ok((StatusCode::ACCEPTED, later).into_response());
    };
    let tag = etag(&pdf);
    let etag = HeaderValue::from_str(&tag).map_err(Problem::internal)?;
    if is_listed(headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response());
    }
    let name = format!("attachment; filename=\"{number}.pdf\"");
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/pdf")),
        (CONTENT_DISPOSITION, HeaderValue::from_str(&name).map_err(Problem::internal)?),
        (ETAG, etag),
    ];
    Ok((StatusCode::OK, headers, pdf).into_response())
}

/// By what the document is told from any other.
fn etag(pdf: &[u8]) -> String {
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, pdf)))
}

/// Whether the caller has the document of this tag (RFC 9110, 13.1.2: compared weakly).
fn is_listed(headers: &HeaderMap, tag: &str) -> bool {
    let lists = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|item| {
        let item = item.trim();
        item == "*" || item.strip_prefix("W/").unwrap_or(item) == tag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_the_document_is_not_sent_it_again() {
        let tag = etag(b"%PDF");
        let has = |list: &str| {
            let value = HeaderValue::from_str(list).unwrap();
            is_listed(&HeaderMap::from_iter([(IF_NONE_MATCH, value)]), &tag)
        };
        assert!(has(&tag) && has(&format!("\"x\", W/{tag}")) && has("*"));
        assert!(!has("\"x\"") && !is_listed(&HeaderMap::new(), &tag));
        assert_ne!(tag, etag(b"%PDF "));
    }
}
