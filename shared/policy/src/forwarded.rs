//! Where a request came from, if proxies in front of the edge pass it on: `X-Forwarded-For`, believed from the
//! right and from those who are trusted only.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::cidr::{AddressList, UNKNOWN_ADDRESS};

/// Whose `X-Forwarded-For` is believed.
#[derive(Debug, Clone)]
pub struct TrustedProxies(Option<AddressList>);

impl TrustedProxies {
    /// The proxies in `networks`; none are trusted if there are none.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let list = AddressList::new(networks);
        Self((!list.is_empty()).then_some(list))
    }

    /// The caller's address: the peer's, or, where the peer is a trusted proxy, the last one in `lines` (the
    /// values of `X-Forwarded-For`, in order) that is not one itself. What is further left was written by who
    /// knows whom.
    #[must_use]
    pub fn client_address<'a>(
        &self,
        peer: Option<IpAddr>,
        lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> IpAddr {
        let Some(peer) = peer else { return UNKNOWN_ADDRESS };
        let mut client = peer.to_canonical();
        let Some(trusted) = &self.0 else { return client };
        for hop in lines.rev().flat_map(|line| line.rsplit(|byte| *byte == b',')) {
            if !trusted.contains(client) {
                break;
            }
            let Some(address) = address(hop) else { break };
            client = address.to_canonical();
        }
        client
    }
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    text.parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_addresses_are_believed_from_the_right_and_from_trusted_peers_only() {
        let trusted = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]);
        let client = |proxies: &TrustedProxies, peer: &str, lines: &[&str]| {
            let lines = lines.iter().map(|line| line.as_bytes());
            proxies.client_address(Some(peer.parse().unwrap()), lines).to_string()
        };
        assert_eq!(client(&trusted, "192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(client(&trusted, "10.0.0.1", &["6.6.6.6, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(client(&trusted, "10.0.0.1", &["203.0.113.9, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(client(&trusted, "10.0.0.1", &["203.0.113.9", "10.0.0.2"]), "203.0.113.9");
        assert_eq!(client(&trusted, "::ffff:10.0.0.1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(client(&trusted, "10.0.0.1", &["unknown"]), "10.0.0.1");
        assert_eq!(client(&TrustedProxies::new([]), "10.0.0.1", &["203.0.113.9"]), "10.0.0.1");
        assert_eq!(trusted.client_address(None, std::iter::empty()), UNKNOWN_ADDRESS);
    }
}
