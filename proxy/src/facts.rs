//! Request facts: host, address and credential headers, read off the request before anything is decided.
//! What two parsers could read differently is refused here.

use std::net::{IpAddr, SocketAddr};

use domain::host::HostName;
use domain::problem::ProblemKind;
use http::HeaderMap;
use ipnet::IpNet;
use pingora::http::RequestHeader;
use policy::HeaderFact;
use policy::cidr::{AddressList, UNKNOWN_ADDRESS};
use policy::routes::is_normal_path;

use crate::problem::Problem;

/// Why a request cannot be read: a sentence for the caller.
pub(crate) type Unreadable = &'static str;

/// The host that the request is for: the URI's authority, which `Host` must not contradict (RFC 9112, 3.2.2).
pub(crate) fn host(request: &RequestHeader) -> Result<HostName, Unreadable> {
    let parse = |text: &str| text.parse::<HostName>().map_err(|_| "`Host` must be a host name.");
    let header = match HeaderFact::of(values(&request.headers, "host")) {
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
    let stated = request.headers.get("content-length").and_then(|value| value.to_str().ok());
    let bytes = stated.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    if bytes <= bytes_max {
        return Ok(());
    }
    let detail = format!("At most {bytes_max} bytes of body are taken here; send less at once.");
    Err(Problem::new(ProblemKind::PayloadTooLarge, detail))
}

/// The fact of the header `name`.
pub(crate) fn header<'a>(request: &'a RequestHeader, name: &str) -> HeaderFact<'a> {
    HeaderFact::of(values(&request.headers, name))
}

/// Whose `X-Forwarded-For` is believed.
#[derive(Debug)]
pub(crate) struct TrustedProxies(Option<AddressList>);

impl TrustedProxies {
    pub(crate) fn new(networks: &[IpNet]) -> Self {
        Self((!networks.is_empty()).then(|| AddressList::new(networks.iter().copied())))
    }

    /// The caller's address: the peer's, or, where the peer is a trusted proxy, the last one in
    /// `X-Forwarded-For` that is not one itself. What is further left was written by who knows whom.
    pub(crate) fn client_address(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> IpAddr {
        let Some(peer) = peer else { return UNKNOWN_ADDRESS };
        let mut client = peer.ip().to_canonical();
        let Some(trusted) = &self.0 else { return client };
        let lines: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .map(|value| value.to_str().unwrap_or_default())
            .collect();
        for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            if !trusted.contains(client) {
                break;
            }
            let Some(address) = address(hop.trim()) else { break };
            client = address.to_canonical();
        }
        client
    }
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
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
    }

    #[test]
    fn forwarded_addresses_are_believed_from_the_right_and_from_trusted_peers_only() {
        let trusted = TrustedProxies::new(&["10.0.0.0/8".parse().unwrap()]);
        let client = |proxies: &TrustedProxies, peer: &str, lines: &[&str]| {
            let headers: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            let peer = peer.parse::<SocketAddr>().unwrap();
            proxies.client_address(Some(peer), &request("/", &headers).headers).to_string()
        };
        assert_eq!(client(&trusted, "192.0.2.1:1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(client(&trusted, "10.0.0.1:1", &["6.6.6.6, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(client(&trusted, "10.0.0.1:1", &["203.0.113.9, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(client(&trusted, "10.0.0.1:1", &["203.0.113.9", "10.0.0.2"]), "203.0.113.9");
        assert_eq!(client(&trusted, "[::ffff:10.0.0.1]:1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(client(&trusted, "10.0.0.1:1", &["unknown"]), "10.0.0.1");
        assert_eq!(client(&TrustedProxies::new(&[]), "10.0.0.1:1", &["203.0.113.9"]), "10.0.0.1");
    }

    #[test]
    fn large_headers_are_refused() {
        let long = "a".repeat(1000);
        assert!(check_size(&request("/", &[("x", &long)]), 900).is_err());
        assert!(check_size(&request("/", &[("x", &long)]), 2000).is_ok());
    }
}
