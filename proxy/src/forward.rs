//! What goes upstream: whatever a client could forge is removed, then the edge's own headers are set, with the
//! signed context last.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use credentials::SymmetricKey;
use credentials::edge_context::{self, Binding, ContextKey, EdgeContext, PoolKey};
use domain::id::RequestId;
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use jiff::Timestamp;
use pingora::http::RequestHeader;
use pingora::{ErrorType, OrErr};
use policy::Grant;
use policy::routes::Auth;

use crate::headers::{
    self, API_KEY, FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO, REQUEST_ID, TRACE,
};

static CONTEXT: HeaderName = HeaderName::from_static(edge_context::HEADER);
/// How many headers are set here.
const SET: usize = 7;

/// Signs contexts, one key for each pool.
#[derive(Debug)]
pub(crate) struct Forwarder {
    /// Few, so that comparing names costs less than hashing one.
    keys: BTreeMap<Arc<str>, ContextKey>,
    nonce: AtomicU64,
}

/// What the edge established about a request before it goes upstream.
#[derive(Debug)]
pub(crate) struct Passage<'a> {
    pub(crate) grant: &'a Grant,
    pub(crate) request_id: RequestId,
    pub(crate) request_id_value: &'a HeaderValue,
    pub(crate) client_address: IpAddr,
    pub(crate) scheme: &'static str,
}

impl Forwarder {
    /// A forwarder to `pools`; `nonce` is where its numbers start, at random, so that no two runs share them.
    pub(crate) fn new<'a>(
        context_key: &SymmetricKey,
        pools: impl Iterator<Item = &'a Arc<str>>,
        nonce: u64,
    ) -> Self {
        let key_of = |pool: &str| ContextKey::new(&PoolKey::derive(context_key, pool));
        let keys = pools.map(|name| (Arc::clone(name), key_of(name))).collect();
        Self { keys, nonce: AtomicU64::new(nonce) }
    }

    /// Makes `request` what the upstream may believe.
    pub(crate) fn prepare(
        &self,
        request: &mut RequestHeader,
        passage: &Passage<'_>,
        now: Timestamp,
    ) -> pingora::Result<()> {
        let mut parts = headers::take_plain(request);
        let headers = &mut parts.headers;
        remove_forgeable(headers, passage.grant.route.auth);

        headers.reserve(SET);
        headers.insert(&REQUEST_ID, passage.request_id_value.clone());
        headers.insert(&FORWARDED_FOR, own_value(address_text(passage.client_address))?);
        headers.insert(&FORWARDED_PROTO, HeaderValue::from_static(passage.scheme));
        if let Some(host) = headers.get(HOST).cloned() {
            headers.insert(&FORWARDED_HOST, host);
        }
        if !headers.get(&TRACE).is_some_and(|value| is_traceparent(value.as_bytes())) {
            headers.insert(&TRACE, own_value(new_traceparent().as_slice())?);
        }
        if let Some(context) = self.context(&parts, passage, now) {
            parts.headers.insert(&CONTEXT, own_value(context)?);
        }
        *request = parts.into();
        Ok(())
    }

    fn context(&self, request: &Parts, passage: &Passage<'_>, now: Timestamp) -> Option<String> {
        let grant = passage.grant;
        let key = self.keys.get(&grant.route.upstream)?;
        let context = EdgeContext {
            request_id: passage.request_id,
            nonce: self.nonce.fetch_add(1, Ordering::Relaxed),
            tenant_id: grant.tenant.map(|(id, _)| id),
            plan: grant.tenant.map(|(_, plan)| plan),
            principal: grant.principal,
            client_address: passage.client_address,
        };
        let path_and_query = request.uri.path_and_query().map_or("/", |path| path.as_str());
        let binding = Binding {
            audience: &grant.route.upstream,
            method: request.method.as_str(),
            path_and_query,
        };
        Some(key.seal(&context, binding, now))
    }
}

/// IPv4 without `fmt`, which would take longer than all look-ups here.
fn address_text(address: IpAddr) -> String {
    let IpAddr::V4(v4) = address else { return address.to_string() };
    let mut text = String::with_capacity("255.255.255.255".len());
    for (index, octet) in v4.octets().into_iter().enumerate() {
        if index > 0 {
            text.push('.');
        }
        text.push_str(itoa::Buffer::new().format(octet));
    }
    text
}

fn own_value<V>(value: V) -> pingora::Result<HeaderValue>
where
    V: TryInto<HeaderValue, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    value.try_into().or_err(ErrorType::InternalError, "the edge's own header is none")
}

fn remove_forgeable(headers: &mut HeaderMap, auth: Auth) {
    let forged: Vec<HeaderName> =
        headers.keys().filter(|name| is_forgeable(name.as_str())).cloned().collect();
    for name in &forged {
        headers.remove(name);
    }
    // Credentials end here, where they were judged. On a public route nobody looked at them, and an
    // application may have its own.
    if auth != Auth::Public {
        headers.remove(AUTHORIZATION);
        headers.remove(&API_KEY);
    }
}

/// Whether only the edge may say this to an upstream, or the upstream may take it for such. CGI and its heirs
/// fold every sign of a name into an underscore, so a name with another sign than a hyphen can stand for any
/// other, hop-by-hop ones included: it ends here, as it does at nginx.
fn is_forgeable(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    name.starts_with("x-pytake-")
        || name.starts_with("x-forwarded-")
        || matches!(name, "x-tenant-id" | "forwarded" | "x-real-ip")
        || !name.bytes().all(is_plain)
}

/// W3C Trace Context, version 00.
fn is_traceparent(value: &[u8]) -> bool {
    let hex = |bytes: &[u8]| bytes.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |bytes: &[u8]| bytes.iter().all(|b| *b == b'0');
    let parts: Vec<&[u8]> = value.split(|byte| *byte == b'-').collect();
    let [version, trace, span, flags] = parts.as_slice() else { return false };
    *version == b"00"
        && trace.len() == 32
        && span.len() == 16
        && flags.len() == 2
        && parts.iter().all(|part| hex(part))
        && !zero(trace)
        && !zero(span)
}

fn new_traceparent() -> [u8; 55] {
    let (trace, span): (u128, u64) = rand::random();
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
    write_hex(&mut text[3..35], &trace.max(1).to_be_bytes());
    write_hex(&mut text[36..52], &span.max(1).to_be_bytes());
    text
}

/// By hand: `format!` would be the dearest part of the whole header.
fn write_hex(slots: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in slots.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use credentials::edge_context::Principal;
    use domain::secret::Secret;
    use policy::Limits;
    use policy::routes::{RouteMatch, RouteTable};

    fn context_key() -> SymmetricKey {
        SymmetricKey::new(Secret::new([3; 32]))
    }

    fn grant() -> Grant {
        let table = RouteTable::parse(
            "t",
            "upstreams.api = { peers = [\"a:1\"] }\nroutes = [{ methods = [\"GET\"], path = \"/a\", upstream = \"api\", auth = \"user\", tenant = \"none\" }]",
        )
        .unwrap();
        let RouteMatch::Found { route, .. } = table.find("GET", "/a") else { panic!("no route") };
        Grant {
            route: Arc::clone(route),
            tenant: None,
            principal: Principal::Anonymous,
            limits: Limits::default(),
            verified: None,
        }
    }

    fn prepared(uri: &str, headers: &[(&'static str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.set_uri(uri.parse().unwrap());
        for (name, value) in headers {
            request.append_header(*name, *value).unwrap();
        }
        let pool: Arc<str> = Arc::from("api");
        let forwarder = Forwarder::new(&context_key(), std::iter::once(&pool), 7);
        let grant = grant();
        let passage = Passage {
            grant: &grant,
            request_id: RequestId::new(Timestamp::UNIX_EPOCH, [5; 10]),
            request_id_value: &HeaderValue::from_static("req_x"),
            client_address: "192.0.2.1".parse().unwrap(),
            scheme: "http",
        };
        forwarder.prepare(&mut request, &passage, Timestamp::UNIX_EPOCH).unwrap();
        request
    }

    #[test]
    fn whatever_a_client_could_forge_is_gone() {
        let forged = [
            ("X-Tenant-ID", "forged"),
            ("x_tenant_id", "forged"),
            ("X-Pytake-Context", "forged"),
            ("x-pytake_anything", "forged"),
            ("Forwarded", "for=forged"),
            ("X-Forwarded-For", "forged"),
            ("x_forwarded_for", "forged"),
            ("X-Forwarded-Port", "forged"),
            ("Transfer_Encoding", "forged"),
            ("X.Real.IP", "forged"),
            ("X-Real-IP", "forged"),
            ("Authorization", "Bearer forged"),
            ("X-Api-Key", "forged"),
            ("X-Request-Id", "forged"),
            ("traceparent", "forged"),
        ];
        let request = prepared("/a", &forged);
        for (name, value) in &request.headers {
            assert!(!value.to_str().unwrap().contains("forged"), "{name}");
        }
        assert_eq!(request.headers["x-forwarded-for"], "192.0.2.1");
        assert!(is_traceparent(request.headers["traceparent"].as_bytes()));
    }

    #[test]
    fn the_context_opens_for_this_very_request() {
        let request = prepared("http://a.b/a?b=c", &[("host", "a.b")]);
        assert_eq!(request.uri.to_string(), "/a?b=c");
        let key = ContextKey::new(&PoolKey::derive(&context_key(), "api"));
        let value = request.headers["x-pytake-context"].to_str().unwrap();
        let binding = |path_and_query| Binding { audience: "api", method: "GET", path_and_query };
        assert!(key.open(value, binding("/a?b=c"), Timestamp::UNIX_EPOCH).is_ok());
        assert!(key.open(value, binding("/a?b=d"), Timestamp::UNIX_EPOCH).is_err());
    }

    #[test]
    fn addresses_are_written_as_rust_writes_them() {
        for text in ["0.0.0.0", "192.0.2.1", "255.255.255.255", "2001:db8::1"] {
            assert_eq!(address_text(text.parse().unwrap()), text);
        }
    }

    #[test]
    fn a_good_trace_goes_on() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(prepared("/a", &[("traceparent", trace)]).headers["traceparent"], trace);
        assert!(!is_traceparent(b"00-00000000000000000000000000000000-00f067aa0ba902b7-01"));
    }
}
