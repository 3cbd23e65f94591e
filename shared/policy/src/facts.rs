//! The facts of a request that the decision needs, as the edge read them off the wire.

use std::net::IpAddr;

use credentials::access_token::Claims;
use domain::host::HostName;

/// A header that must be there at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeaderFact<'a> {
    /// Not sent.
    #[default]
    Absent,
    /// One value, or several that are equal.
    Value(&'a str),
    /// Several values that differ, or one that is not text.
    Unusable,
}

impl<'a> HeaderFact<'a> {
    /// The fact of all `values` of one header, in their order.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut fact = Self::Absent;
        for value in values {
            let Ok(text) = std::str::from_utf8(value) else { return Self::Unusable };
            let text = text.trim_ascii();
            match fact {
                Self::Value(first) if first != text => return Self::Unusable,
                _ => fact = Self::Value(text),
            }
        }
        fact
    }
}

/// A request, as far as the decision looks at it. Borrowed from the request: gathering allocates little.
#[derive(Debug, Clone, Copy)]
pub struct RequestFacts<'a> {
    /// From the URI's authority or `Host`, canonical.
    pub host: &'a HostName,
    /// The method as sent.
    pub method: &'a str,
    /// The path as sent, without the query.
    pub path: &'a str,
    /// `Authorization`.
    pub authorization: HeaderFact<'a>,
    /// `X-Api-Key`.
    pub api_key: HeaderFact<'a>,
    /// `X-Tenant-ID`.
    pub tenant: HeaderFact<'a>,
    /// The caller's address, after trusted proxies.
    pub client_address: IpAddr,
    /// The claims of the very access token in `authorization`, if it was verified before under the
    /// signing keys of the policy at hand ([`crate::Policy::signing_keys`]).
    pub remembered: Option<&'a Claims>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_repeats_are_one_and_different_ones_unusable() {
        assert_eq!(HeaderFact::of([]), HeaderFact::Absent);
        assert_eq!(HeaderFact::of([b" a ".as_slice(), b"a"]), HeaderFact::Value("a"));
        assert_eq!(HeaderFact::of([b"a".as_slice(), b"b"]), HeaderFact::Unusable);
        assert_eq!(HeaderFact::of([b"\xff".as_slice()]), HeaderFact::Unusable);
    }
}
