//! Arguments of handlers: JSON bodies, pages of lists, path ids, preconditions. What is wrong becomes a
//! problem that says where.

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credentials::platform_key::PlatformKey;
use domain::credential::PlatformCredentialKind;
use domain::faults::Faults;
use domain::id::TenantId;
use domain::problem::ProblemKind;
use http::header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use ring::digest;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use store::page::{Page, PageLimit};
use uuid::Uuid;

use crate::problem::Problem;

/// Largest JSON body. The edge refuses larger ones first; this holds for whoever else gets here.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Most characters of what a fault says: the parser quotes what was sent, however long.
const FAULT_CHARS_MAX: usize = 200;

/// A wire struct that can be checked into the domain's types, all faults at once.
pub(crate) trait Wire: DeserializeOwned {
    /// What it becomes.
    type Parsed;

    /// Checks every field.
    fn parse(self) -> Result<Self::Parsed, Faults>;
}

/// A JSON body, parsed and checked; and the hash of its bytes, for idempotency.
pub(crate) struct Body<T: Wire> {
    pub(crate) value: T::Parsed,
    pub(crate) hash: [u8; 32],
}

impl<T: Wire, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_content_type(request.headers())?;
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                let detail =
                    format!("The body may have {BODY_BYTES_MAX} bytes; send less at once.");
                Problem::new(ProblemKind::PayloadTooLarge, detail)
            } else {
                Problem::new(ProblemKind::MalformedRequest, "The body broke off; send it again.")
            }
        })?;
        let wire: T = from_json(&bytes)?;
        let hash = digest::digest(&digest::SHA256, &bytes);
        let hash = hash.as_ref().try_into().map_err(Problem::internal)?;
        Ok(Self { value: wire.parse()?, hash })
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    if media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let detail = "Send the body as JSON, with `Content-Type: application/json`.";
    Err(Problem::new(ProblemKind::UnsupportedMediaType, detail))
}

/// Broken JSON is 400; JSON of another shape is 422 with its place.
fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // A derived `Deserialize` also takes an array, field by field in the order of the struct.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        serde_json::from_slice::<IgnoredAny>(bytes).map_err(|error| broken(&error))?;
        let mut faults = Faults::new();
        faults.push("", "must be a JSON object");
        return Err(faults.into());
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value: T = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        let inner = error.into_inner();
        if inner.is_data() { misshapen(&pointer, &inner) } else { broken(&inner) }
    })?;
    deserializer.end().map_err(|error| broken(&error))?;
    Ok(value)
}

fn broken(error: &serde_json::Error) -> Problem {
    let detail = format!("The body is no JSON at line {} column {}.", error.line(), error.column());
    Problem::new(ProblemKind::MalformedRequest, detail)
}

fn misshapen(pointer: &str, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    // serde_json appends the place in the text; the pointer says it better.
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let mut faults = Faults::new();
    faults.push(&shortened(pointer), shortened(text));
    faults.into()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(FAULT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The path of a value as a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                format!("/{}", key.replace('~', "~0").replace('/', "~1"))
            }
            Segment::Unknown => String::new(),
        })
        .collect()
}

/// Which part of a list is wanted: `?limit=` and `?cursor=`.
pub(crate) struct PageQuery(pub(crate) Page);

#[derive(Deserialize)]
struct RawPage {
    limit: Option<String>,
    cursor: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for PageQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(raw) = Query::<RawPage>::from_request_parts(parts, state)
            .await
            .map_err(|_| malformed_query())?;
        let mut faults = Faults::new();
        let limit = match raw.limit {
            None => Some(PageLimit::DEFAULT),
            Some(text) => faults.check(
                "/limit",
                text.parse().ok().and_then(PageLimit::new).ok_or("must be a number from 1 to 100"),
            ),
        };
        let after = match raw.cursor {
            None => None,
            Some(text) => faults.check(
                "/cursor",
                decode_cursor(&text).ok_or("must be the `next_cursor` of an answer"),
            ),
        };
        Ok(Self(faults.finish(limit.map(|limit| Page { limit, after }))?))
    }
}

/// A query that is not pairs of names and values, or names one thing twice.
pub(crate) fn malformed_query() -> Problem {
    let detail = "The query could not be read; check its encoding, and send each name once.";
    Problem::new(ProblemKind::MalformedRequest, detail)
}

/// The opaque form of the row after which the next page starts.
pub(crate) fn encode_cursor(after: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(after.as_bytes())
}

fn decode_cursor(text: &str) -> Option<Uuid> {
    Uuid::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// `?preview=true`: what would come of it is answered, and nothing done. Any other name is refused: a misspelt one must
/// not charge.
pub(crate) struct Preview(pub(crate) bool);

impl<S: Send + Sync> FromRequestParts<S> for Preview {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|_| malformed_query())?;
        let mut faults = Faults::new();
        let mut preview = None;
        for (name, value) in pairs {
            match (name.as_str(), value.as_str()) {
                ("preview", _) if preview.is_some() => return Err(malformed_query()),
                ("preview", "true") => preview = Some(true),
                ("preview", "false") => preview = Some(false),
                ("preview", _) => faults.push("/preview", "must be `true` or `false`"),
                (other, _) => {
                    faults.push(&shortened(&format!("/{other}")), "is not known; `preview` is");
                }
            }
        }
        Ok(Self(faults.finish(Some(preview.unwrap_or(false)))?))
    }
}

/// The tenant in the path of an operator's route, which belongs to none. A malformed id is nobody's: 404.
pub(crate) struct PathTenant(pub(crate) TenantId);

impl<S: Send + Sync> FromRequestParts<S> for PathTenant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(values) = Path::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::not_found())?;
        let id = values.into_iter().find(|(name, _)| name == "tenant_id");
        id.and_then(|(_, text)| text.parse().ok()).map(Self).ok_or_else(Problem::not_found)
    }
}

/// An id in the path, after the tenant's. A malformed one is nobody's: 404.
pub(crate) struct PathId<T>(pub(crate) T);

impl<T: FromStr + Send, S: Send + Sync> FromRequestParts<S> for PathId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(values) = Path::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::not_found())?;
        let id = values.into_iter().find(|(name, _)| name != "tenant_id");
        id.and_then(|(_, text)| text.parse().ok()).map(Self).ok_or_else(Problem::not_found)
    }
}

/// Two ids in the path, after the tenant's. A malformed one is nobody's: 404.
pub(crate) struct PathIds<A, B>(pub(crate) A, pub(crate) B);

impl<A: FromStr + Send, B: FromStr + Send, S: Send + Sync> FromRequestParts<S> for PathIds<A, B> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(values) = Path::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::not_found())?;
        let mut ids = values.into_iter().filter(|(name, _)| name != "tenant_id");
        let first = ids.next().and_then(|(_, text)| text.parse().ok());
        let second = ids.next().and_then(|(_, text)| text.parse().ok());
        first.zip(second).map(|(first, second)| Self(first, second)).ok_or_else(Problem::not_found)
    }
}

/// `If-Match`: the version that the caller has seen, if they care.
pub(crate) struct IfMatch(Option<HeaderValue>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Ok(Self(parts.headers.get(IF_MATCH).cloned()))
    }
}

impl IfMatch {
    /// Refuses when the caller has seen another version than `version`.
    pub(crate) fn check(&self, version: i64) -> Result<(), Problem> {
        let Some(seen) = &self.0 else { return Ok(()) };
        let tag = etag(version);
        let listed = |list: &str| {
            list.split(',').any(|item| matches!(item.trim(), "*") || item.trim() == tag)
        };
        if seen.to_str().is_ok_and(listed) {
            return Ok(());
        }
        let detail = "It was changed since you read it; read it again and repeat the change.";
        Err(Problem::new(ProblemKind::PreconditionFailed, detail))
    }
}

/// The key of the platform's own that the caller sends as `Authorization: Bearer …`, if it is well-formed.
pub(crate) fn bearer_key(headers: &HeaderMap, kind: PlatformCredentialKind) -> Option<PlatformKey> {
    let text = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, key) = text?.split_once(' ')?;
    let key = scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())?;
    PlatformKey::parse(kind, key).ok()
}

/// The entity tag of a version.
pub(crate) fn etag(version: i64) -> String {
    format!("\"v{version}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Shape {
        name: String,
        list: Vec<u8>,
    }

    fn problem(text: &str) -> String {
        format!("{:?}", from_json::<Shape>(text.as_bytes()).unwrap_err())
    }

    #[test]
    fn broken_json_and_wrong_shapes_are_told_apart_and_placed() {
        for broken in ["", "{", "{\"name\": \"x\", \"list\": []} trailing", "\u{0}"] {
            assert!(problem(broken).contains("MalformedRequest"), "{broken}");
        }
        assert!(problem(r#"{"name": "x", "list": [1, "2"]}"#).contains("/list/1"));
        assert!(
            problem(r#"{"name": "x", "list": [], "nmae": 1}"#).contains("unknown field `nmae`")
        );
        assert!(problem(r#"{"list": []}"#).contains("missing field `name`"));
    }

    #[test]
    fn a_body_is_an_object_and_not_its_fields_in_order() {
        for other in [r#"["x", []]"#, " [] ", "null", "7", r#""x""#] {
            assert!(problem(other).contains("must be a JSON object"), "{other}");
        }
        assert!(problem("[").contains("MalformedRequest"));
        assert!(problem(&"[".repeat(100_000)).contains("MalformedRequest"));
    }

    #[test]
    fn a_fault_quotes_little_of_what_was_sent() {
        let name = "é".repeat(100_000);
        assert!(problem(&format!(r#"{{"{name}": 1}}"#)).len() < 2_000);
        assert!(problem(&format!(r#"{{"name": "x", "list": "{name}"}}"#)).len() < 2_000);
    }

    #[test]
    fn cursors_round_trip_and_garbage_is_refused() {
        let id = Uuid::from_u128(42);
        assert_eq!(decode_cursor(&encode_cursor(id)), Some(id));
        for bad in ["", "x", "!!!!", &encode_cursor(id)[1..]] {
            assert_eq!(decode_cursor(bad), None);
        }
    }

    #[test]
    fn a_precondition_names_the_version_seen() {
        let seen = |text| IfMatch(Some(HeaderValue::from_static(text)));
        assert!(seen("\"v3\"").check(3).is_ok() && seen("*").check(9).is_ok());
        assert!(seen("\"v1\", \"v3\"").check(3).is_ok() && IfMatch(None).check(1).is_ok());
        assert!(seen("\"v3\"").check(4).is_err() && seen("v3").check(3).is_err());
    }
}
