//! Addresses that tenants name, and which of them the platform calls: never its own network.

mod ranges;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use url::{Host, Url};

pub use ranges::is_public;

/// Longest address, in characters.
const CHARS_MAX: usize = 2000;

/// An http or https address that a tenant named. Parsed as browsers do, so that there is no second reading of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Destination(Url);

/// Why a text is no destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Not a URL with a host.
    #[error("must be an absolute URL such as `https://example.com/hooks`")]
    Malformed,
    /// Too long.
    #[error("must have at most {CHARS_MAX} characters")]
    TooLong,
    /// Neither http nor https.
    #[error("must begin with `https://`")]
    Scheme,
    /// Credentials before the host would be logged and shown.
    #[error("must not hold a user or a password; use a header instead")]
    Credentials,
    /// A fragment is never sent.
    #[error("must not have a fragment (`#…`)")]
    Fragment,
}

/// Why a destination is not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Private, loopback, link-local, or otherwise not of the public internet.
    #[error("leads to a private or reserved address; use one that the internet can reach")]
    Address,
    /// Plain http.
    #[error("must begin with `https://`")]
    Unencrypted,
    /// A port that is not for this.
    #[error("uses a port that is not allowed; use {0}")]
    Port(u16),
}

/// What the operator lets tenants reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationPolicy {
    /// Networks that may be called whatever they are, at any port and by plain http, too.
    pub allowed_networks: Vec<IpNet>,
    /// Whether public addresses may be called by plain http.
    pub allow_http: bool,
    /// Ports of public addresses that may be called; empty: all.
    pub ports: Vec<u16>,
}

impl Default for DestinationPolicy {
    fn default() -> Self {
        Self { allowed_networks: Vec::new(), allow_http: false, ports: vec![443, 8443] }
    }
}

impl Destination {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// As a URL.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// The port, by default the scheme's.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(0)
    }

    /// Whether it is called by https.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The address, where it names one instead of a host.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self.0.host()? {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain(_) => None,
        }
    }

    /// Names that mean this machine, whatever name servers say (RFC 6761, 6.3).
    fn is_localhost(&self) -> bool {
        let name = self.0.domain().map(|name| name.trim_end_matches('.'));
        name.is_some_and(|name| name == "localhost" || name.ends_with(".localhost"))
    }
}

impl DestinationPolicy {
    /// Whether `destination` may be called, as far as can be told without looking its name up.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, destination: &Destination) -> Result<(), Refused> {
        if let Some(address) = destination.address() {
            return self.check_address(address, destination);
        }
        // Where some networks are allowed more, only the look-up tells whether the name leads there.
        if !self.allowed_networks.is_empty() {
            return Ok(());
        }
        if destination.is_localhost() {
            return Err(Refused::Address);
        }
        self.check_form(destination)
    }

    /// Whether `destination` may be called at `address`, to which its name was resolved.
    ///
    /// # Errors
    /// Why not.
    pub fn check_address(&self, address: IpAddr, destination: &Destination) -> Result<(), Refused> {
        if self.is_allowed(address) {
            return Ok(());
        }
        if !is_public(address) {
            return Err(Refused::Address);
        }
        self.check_form(destination)
    }

    /// Whether the operator allows this address whatever it is.
    #[must_use]
    pub fn is_allowed(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allowed_networks.iter().any(|network| network.contains(&address))
    }

    /// Whether public addresses may be called by this scheme and port.
    ///
    /// # Errors
    /// Why not.
    pub fn check_form(&self, destination: &Destination) -> Result<(), Refused> {
        if !destination.is_encrypted() && !self.allow_http {
            return Err(Refused::Unencrypted);
        }
        let plain = self.allow_http && destination.port() == 80;
        match self.ports.first() {
            Some(first) if !plain && !self.ports.contains(&destination.port()) => {
                Err(Refused::Port(*first))
            }
            _ => Ok(()),
        }
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        if text.chars().count() > CHARS_MAX {
            return Err(DestinationError::TooLong);
        }
        let url: Url = text.parse().map_err(|_| DestinationError::Malformed)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(DestinationError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(DestinationError::Credentials);
        }
        if url.fragment().is_some() {
            return Err(DestinationError::Fragment);
        }
        if url.host().is_none() || url.port() == Some(0) {
            return Err(DestinationError::Malformed);
        }
        // The canonical form may be longer than what was sent: percent signs, punycode.
        if url.as_str().len() > CHARS_MAX {
            return Err(DestinationError::TooLong);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
