//! Lists of networks, as sorted ranges: a look-up is a binary search, however long the list.
//! IPv4-mapped IPv6 addresses and networks count as IPv4, so a dual-stack listener changes nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

/// Bits of `::ffff:0:0/96` in front of a mapped IPv4 address (RFC 4291, 2.5.5.2).
const MAPPED_PREFIX_LEN: u8 = 96;

/// The addresses that may call. Empty: every address may. Copies share the list; an empty one is one word.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Ranges", into = "Ranges")]
pub struct AddressList(Option<Arc<Ranges>>);

/// Ranges of addresses, in order and apart from each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Ranges {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl AddressList {
    /// A list of `networks`; overlapping and adjoining ones are merged.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match unmapped(network) {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        Ranges { v4: v4.into(), v6: v6.into() }.into()
    }

    /// Whether no network is listed, so that every address may call.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether `address` may call.
    #[must_use]
    pub fn permits(&self, address: IpAddr) -> bool {
        self.is_empty() || self.contains(address)
    }

    /// Whether `address` is in one of the networks.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let Some(ranges) = &self.0 else { return false };
        match address.to_canonical() {
            IpAddr::V4(address) => within(&ranges.v4, address.to_bits()),
            IpAddr::V6(address) => within(&ranges.v6, address.to_bits()),
        }
    }
}

impl From<Ranges> for AddressList {
    fn from(ranges: Ranges) -> Self {
        let (v4, v6) = (merged(ranges.v4.into_vec()), merged(ranges.v6.into_vec()));
        let empty = v4.is_empty() && v6.is_empty();
        Self((!empty).then(|| Arc::new(Ranges { v4, v6 })))
    }
}

impl From<AddressList> for Ranges {
    fn from(list: AddressList) -> Self {
        list.0.map(Arc::unwrap_or_clone).unwrap_or_default()
    }
}

fn unmapped(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let prefix_len = v6.prefix_len().checked_sub(MAPPED_PREFIX_LEN);
    match (v6.network().to_ipv4_mapped(), prefix_len) {
        (Some(address), Some(prefix_len)) => {
            Ipv4Net::new(address, prefix_len).map_or(network, IpNet::V4)
        }
        _ => network,
    }
}

fn merged<T: Ord + Copy>(mut ranges: Vec<(T, T)>) -> Box<[(T, T)]> {
    ranges.sort_unstable();
    let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(previous) if first <= previous.1 => previous.1 = previous.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged.into_boxed_slice()
}

fn within<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    after.checked_sub(1).is_some_and(|index| address <= ranges[index].1)
}

/// What one subscriber holds: an IPv4 address, or the /64 of an IPv6 address, since a household or a
/// server gets no less than a /64 and could else step around any limit by address.
#[must_use]
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

/// The address that stands in where a connection has none (a Unix socket).
pub const UNKNOWN_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv6Addr;

    fn list(networks: &[&str]) -> AddressList {
        AddressList::new(networks.iter().map(|text| text.parse().unwrap()))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn empty_list_permits_all_but_contains_none() {
        assert!(list(&[]).permits(address("203.0.113.9")));
        assert!(!list(&[]).contains(address("203.0.113.9")));
    }

    #[test]
    fn borders_belong_to_the_network() {
        let list = list(&["10.1.0.0/16", "2001:db8::/32", "192.0.2.7/32"]);
        for inside in ["10.1.0.0", "10.1.255.255", "2001:db8::", "2001:db8:ffff::1", "192.0.2.7"] {
            assert!(list.permits(address(inside)), "{inside}");
        }
        for outside in ["10.0.255.255", "10.2.0.0", "2001:db9::", "192.0.2.8", "::1"] {
            assert!(!list.permits(address(outside)), "{outside}");
        }
    }

    #[test]
    fn mapped_addresses_and_networks_are_ipv4() {
        assert!(list(&["10.0.0.0/8"]).permits(address("::ffff:10.1.2.3")));
        assert!(list(&["::ffff:10.0.0.0/104"]).permits(address("10.1.2.3")));
        assert!(!list(&["::ffff:10.0.0.0/104"]).permits(address("11.0.0.1")));
    }

    #[test]
    fn an_ipv6_subscriber_is_a_64() {
        assert_eq!(subscriber(address("2001:db8:1:2:3:4:5:6")), address("2001:db8:1:2::"));
        assert_eq!(subscriber(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    }

    proptest! {
        #[test]
        fn agrees_with_a_scan(
            networks in proptest::collection::vec((any::<u32>(), 0u8..=32), 1..20),
            more in proptest::collection::vec((any::<u128>(), 0u8..=128), 0..20),
            probes in proptest::collection::vec(any::<u32>(), 20),
        ) {
            let nets: Vec<IpNet> = networks
                .iter()
                .map(|(bits, len)| IpNet::new((*bits).to_be_bytes().into(), *len).unwrap())
                .chain(more.iter().map(|(bits, len)| {
                    IpNet::new(Ipv6Addr::from_bits(*bits).into(), *len).unwrap()
                }))
                .collect();
            let list = AddressList::new(nets.iter().copied());
            for probe in probes {
                let address = IpAddr::from(probe.to_be_bytes());
                prop_assert_eq!(list.contains(address), nets.iter().any(|net| net.contains(&address)));
            }
            for net in &nets {
                prop_assert!(list.contains(net.network()) && list.contains(net.broadcast()));
            }
        }
    }
}
