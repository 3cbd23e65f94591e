//! Request facts: host, address and credential headers, read off the request before anything is decided.
//! What two parsers could read differently is refused here.

use std::net::{IpAddr, SocketAddr};

use domain::host::HostName;
use domain::problem::ProblemKind;
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName};
use pingora::http::RequestHeader;
use policy::HeaderFact;
use policy::forwarded::TrustedProxies;
use policy::routes::is_normal_path;

use crate::headers::FORWARDED_FOR;
use crate::problem::Problem;

/// Why a request cannot be read: a sentence for the caller.
pub(crate) type Unreadable = &'static str;

/// The host that the request is for: the URI's authority, which `Host` must not contradict (RFC 9112, 3.2.2).
pub(crate) fn host(request: &RequestHeader) -> Result<HostName, Unreadable> {
    // Names are ASCII on the wire: what is mapped to it here, an upstream could take as it stands.
    let parse = |text: &str| {
        let host = text.parse::<HostName>().ok().filter(|_| text.is_ascii());
        host.ok_or("`Host` must be a host name, in its ASCII form.")
    };
    let header = match HeaderFact::of(values(&request.headers, &HOST)) {
        HeaderFact::Absent => None,
        HeaderFact::Value(text) => Some(parse(text)?),
        HeaderFact::Unusable => return Err("`Host` must be sent once."),
    };
    let authority =
        request.uri.authority().map(|authority| parse(authority.as_str())).transpose()?;
    match (authority, header) {
        (Some(authority), Some(header)) if authority != header => {
            Err("The request's URI and `Host` must name the same host.")
        }
        (Some(host), _) | (None, Some(host)) => Ok(host),
        (None, None) => Err("`Host` must be sent."),
    }
}

/// The path in its normal form; any other form is refused rather than rewritten.
pub(crate) fn path(request: &RequestHeader) -> Result<&str, Unreadable> {
    let target = request.raw_path();
    let begins = |scheme: &str| {
        target
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
    };
    if !(target.starts_with(b"/") || begins("http://") || begins("https://")) {
        return Err("The request's target must be a path, or a URI over HTTP.");
    }
    let path = request.uri.path();
    if is_normal_path(path) && request.raw_path_is_utf8() {
        Ok(path)
    } else {
        Err("The path must be in normal form: no empty, dot or encoded-slash segments.")
    }
}

/// Refuses more headers than are taken.
pub(crate) fn check_size(request: &RequestHeader, bytes_max: usize) -> Result<(), Unreadable> {
    let line = request.raw_path().len();
    let block = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    if line + block.sum::<usize>() <= bytes_max {
        Ok(())
    } else {
        Err("The request's headers are larger than is taken here; send fewer or shorter ones.")
    }
}

/// Refuses a body that says itself that it is too large; one that does not is counted as it comes.
pub(crate) fn check_body_size(request: &RequestHeader, bytes_max: u64) -> Result<(), Problem> {
    let stated = request.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let bytes = stated.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    if bytes <= bytes_max {
        return Ok(());
    }
    let detail = format!("At most {bytes_max} bytes of body are taken here; send less at once.");
    Err(Problem::new(ProblemKind::PayloadTooLarge, detail))
}

/// The fact of the header `name`.
pub(crate) fn header<'a>(request: &'a RequestHeader, name: &HeaderName) -> HeaderFact<'a> {
    HeaderFact::of(values(&request.headers, name))
}

/// The caller's address: the peer's, or what proxies that are trusted say of it.
pub(crate) fn client_address(
    trusted: &TrustedProxies,
    peer: Option<SocketAddr>,
    headers: &HeaderMap,
) -> IpAddr {
    trusted.client_address(peer.map(|peer| peer.ip()), values(headers, &FORWARDED_FOR))
}

fn values<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl DoubleEndedIterator<Item = &'a [u8]> {
    headers.get_all(name).iter().map(http::HeaderValue::as_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, headers: &[(&'static str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.set_uri(uri.parse().unwrap());
        for (name, value) in headers {
            request.append_header(*name, *value).unwrap();
        }
        request
    }

    #[test]
    fn uri_and_host_agree_or_nothing() {
        let is = |uri, headers: &[_]| host(&request(uri, headers)).map(|h| h.to_string());
        assert_eq!(is("/a", &[("host", "Acme.api.localhost:8080")]).unwrap(), "acme.api.localhost");
        assert_eq!(is("http://a.b/c", &[("host", "a.b:80")]).unwrap(), "a.b");
        assert_eq!(is("http://a.b/c", &[]).unwrap(), "a.b");
        assert!(is("http://a.b/c", &[("host", "b.c")]).is_err());
        assert!(is("/a", &[]).is_err());
        assert!(is("/a", &[("host", "a.b"), ("host", "c.d")]).is_err());
        assert!(is("/a", &[("host", "a b")]).is_err());
        assert!(is("http://user@a.b/c", &[]).is_err());
        assert!(is("/a", &[("host", "b\u{fc}cher.example")]).is_err());
    }

    #[test]
    fn forwarded_addresses_are_read_over_all_lines() {
        let trusted = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]);
        let client = |lines: &[&str]| {
            let headers: Vec<_> = lines.iter().map(|line| ("X-Forwarded-For", *line)).collect();
            let peer = "10.0.0.1:1".parse().unwrap();
            client_address(&trusted, Some(peer), &request("/", &headers).headers).to_string()
        };
        assert_eq!(client(&["6.6.6.6", "203.0.113.9, 10.0.0.3", "10.0.0.2"]), "203.0.113.9");
        assert_eq!(client(&[]), "10.0.0.1");
    }

    #[test]
    fn large_headers_are_refused() {
        let long = "a".repeat(1000);
        assert!(check_size(&request("/", &[("x", &long)]), 900).is_err());
        assert!(check_size(&request("/", &[("x", &long)]), 2000).is_ok());
    }
}
