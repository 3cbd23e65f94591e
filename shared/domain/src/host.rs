//! Host names: subdomains that tenants choose, and the host of a request.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Whether `label` is a DNS label of letters, digits and inner hyphens (RFC 1123, 2.1).
#[must_use]
pub fn is_dns_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// The label under the base domain at which a tenant is reached.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Subdomain(String);

/// Why a subdomain cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubdomainError {
    /// Not a DNS label.
    #[error(
        "must be {} to {} lower-case letters, digits or inner hyphens, starting with a letter or digit",
        Subdomain::LEN_MIN,
        Subdomain::LEN_MAX
    )]
    Invalid,
    /// Kept for the platform, or mistakable for it.
    #[error("is reserved; choose another")]
    Reserved,
}

impl Subdomain {
    /// Shortest label, so that one- and two-letter names stay the platform's.
    pub const LEN_MIN: usize = 3;
    /// Longest DNS label (RFC 1035, 2.3.4).
    pub const LEN_MAX: usize = 63;

    /// Names that would pass for the platform, or that mail and web software treats specially (RFC 2142).
    pub const RESERVED: &'static [&'static str] = &[
        "abuse",
        "account",
        "accounts",
        "admin",
        "administrator",
        "api",
        "app",
        "apps",
        "assets",
        "auth",
        "autoconfig",
        "autodiscover",
        "billing",
        "blog",
        "cdn",
        "community",
        "console",
        "dashboard",
        "demo-api",
        "dev",
        "dns",
        "docs",
        "edge",
        "email",
        "ftp",
        "git",
        "health",
        "help",
        "hooks",
        "host",
        "hostmaster",
        "imap",
        "info",
        "internal",
        "invoice",
        "invoices",
        "localhost",
        "login",
        "mail",
        "metrics",
        "mta-sts",
        "news",
        "noc",
        "ns1",
        "ns2",
        "oauth",
        "openapi",
        "operator",
        "ops",
        "payment",
        "payments",
        "pop",
        "portal",
        "postmaster",
        "private",
        "proxy",
        "public",
        "pytake",
        "root",
        "sandbox",
        "secure",
        "security",
        "signup",
        "smtp",
        "sso",
        "staging",
        "static",
        "status",
        "support",
        "system",
        "test",
        "webhook",
        "webhooks",
        "webmaster",
        "webmail",
        "wpad",
        "www",
    ];

    /// The label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Subdomain {
    type Err = SubdomainError;

    fn from_str(text: &str) -> Result<Self, SubdomainError> {
        let lower_case = text.bytes().all(|byte| !byte.is_ascii_uppercase());
        let length = (Self::LEN_MIN..=Self::LEN_MAX).contains(&text.len());
        // `xn--` and the like (RFC 5891, 4.2.3.1) would show as another script in a browser.
        let disguised = text.get(2..4) == Some("--");
        if !lower_case || !length || disguised || !is_dns_label(text) {
            return Err(SubdomainError::Invalid);
        }
        if Self::RESERVED.contains(&text) {
            return Err(SubdomainError::Reserved);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Subdomain {
    type Error = SubdomainError;

    fn try_from(text: String) -> Result<Self, SubdomainError> {
        text.parse()
    }
}

impl From<Subdomain> for String {
    fn from(subdomain: Subdomain) -> Self {
        subdomain.0
    }
}

impl fmt::Display for Subdomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The host of a request in its one canonical form: lower-case ASCII (IDNA), no port, no trailing dot,
/// IPv6 literals in brackets.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

/// Not a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a host name or an address, with or without a port")]
pub struct HostError;

impl HostName {
    /// Longest name (RFC 1035, 2.3.4).
    pub const LEN_MAX: usize = 253;

    /// The canonical form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The single label in front of `base`, if this is exactly one label under it.
    #[must_use]
    pub fn label_under(&self, base: &Self) -> Option<&str> {
        let label = self.0.strip_suffix(base.as_str())?.strip_suffix('.')?;
        (!label.is_empty() && !label.contains('.')).then_some(label)
    }

    /// Whether this is `base` or any name under it.
    #[must_use]
    pub fn is_within(&self, base: &Self) -> bool {
        self == base || self.0.strip_suffix(base.as_str()).is_some_and(|rest| rest.ends_with('.'))
    }
}

impl FromStr for HostName {
    type Err = HostError;

    /// Parses the value of a `Host` header or a URI's authority (RFC 9110, 7.2; no user information).
    fn from_str(text: &str) -> Result<Self, HostError> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']').ok_or(HostError)?;
            let address: Ipv6Addr = address.parse().map_err(|_| HostError)?;
            check_port(port)?;
            return Ok(Self(format!("[{address}]")));
        }
        let (name, port) = match text.find(':') {
            Some(colon) => text.split_at(colon),
            None => (text, ""),
        };
        check_port(port)?;
        let name = name.strip_suffix('.').unwrap_or(name);
        let ascii = canonical(name)?;
        if ascii.is_empty() || ascii.len() > Self::LEN_MAX || !ascii.split('.').all(is_host_label) {
            return Err(HostError);
        }
        Ok(Self(ascii))
    }
}

fn canonical(name: &str) -> Result<String, HostError> {
    // Pure ASCII without punycode, however capitalised, needs no Unicode tables; this is nearly every request.
    let lower = name.to_ascii_lowercase();
    if lower.is_ascii() && !lower.contains("xn--") {
        return Ok(lower);
    }
    idna::domain_to_ascii_strict(name).map_err(|_| HostError)
}

/// As [`is_dns_label`], but underscores are tolerated as browsers and resolvers do.
fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn check_port(suffix: &str) -> Result<(), HostError> {
    match suffix.strip_prefix(':') {
        None if suffix.is_empty() => Ok(()),
        Some("") => Ok(()),
        Some(port) if port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()) => {
            port.parse::<u16>().map(|_| ()).map_err(|_| HostError)
        }
        _ => Err(HostError),
    }
}

impl TryFrom<String> for HostName {
    type Error = HostError;

    fn try_from(text: String) -> Result<Self, HostError> {
        text.parse()
    }
}

impl From<HostName> for String {
    fn from(host: HostName) -> Self {
        host.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn subdomains() {
        for good in ["acme", "a1b", "my-company", "123"] {
            assert!(good.parse::<Subdomain>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "ab",
            "Acme",
            "-acme",
            "acme-",
            "ac.me",
            "ac_me",
            "xn--80ak6aa92e",
            "ac--me",
            "ünı",
        ] {
            assert_eq!(bad.parse::<Subdomain>(), Err(SubdomainError::Invalid), "{bad}");
        }
        assert_eq!("admin".parse::<Subdomain>(), Err(SubdomainError::Reserved));
    }

    #[test]
    fn one_canonical_host() {
        for (text, canonical) in [
            ("Acme.API.localhost:8080", "acme.api.localhost"),
            ("acme.api.localhost.", "acme.api.localhost"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("[::1]:8080", "[::1]"),
            ("[0:0::1]", "[::1]"),
            ("127.0.0.1:80", "127.0.0.1"),
        ] {
            assert_eq!(text.parse::<HostName>().unwrap().as_str(), canonical, "{text}");
        }
        for bad in [
            "",
            ".",
            "a..b",
            "a b",
            "a/b",
            "user@host",
            "host:port",
            "host:70000",
            "[::1",
            "-a.b",
            "a:1:2",
            "xN--0.example",
        ] {
            assert!(bad.parse::<HostName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn labels_under_the_base_domain() {
        let base: HostName = "api.localhost".parse().unwrap();
        let host = |text: &str| text.parse::<HostName>().unwrap();
        assert_eq!(host("acme.api.localhost").label_under(&base), Some("acme"));
        assert_eq!(host("a.b.api.localhost").label_under(&base), None);
        assert_eq!(host("evilapi.localhost").label_under(&base), None);
        assert!(!host("evilapi.localhost").is_within(&base));
        assert!(host("a.b.api.localhost").is_within(&base));
    }

    proptest! {
        #[test]
        fn canonical_form_is_a_fixed_point(text in "[ -~]{0,40}|\\PC{0,20}") {
            if let Ok(host) = text.parse::<HostName>() {
                prop_assert_eq!(host.as_str().parse::<HostName>(), Ok(host.clone()));
            }
        }
    }
}
