//! Address lists: a sorted list answers as a look at each network would.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bolero::produce;
use ipnet::IpNet;
use policy::cidr::{AddressList, subscriber};

use crate::input::bounded;

/// An address near others, so that networks touch and hold one another: few bits are left to chance.
fn address((kind, bits, far): (u8, u8, u128)) -> IpAddr {
    let v4 = Ipv4Addr::from_bits(0x0a00_0000 | u32::from(bits) << 4);
    match kind % 6 {
        0 => v4.into(),
        1 => v4.to_ipv6_mapped().into(),
        2 => Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(bits) << 60).into(),
        3 => Ipv6Addr::from_bits(far).into(),
        4 => Ipv4Addr::from_bits(
            far.to_be_bytes()[..4].iter().fold(0, |all, byte| all << 8 | u32::from(*byte)),
        )
        .into(),
        // One bit beside the mapped addresses.
        _ => Ipv6Addr::from_bits(v4.to_ipv6_mapped().to_bits() ^ 1 << (32 + far % 96)).into(),
    }
}

fn network(place: (u8, u8, u128), length: u8) -> IpNet {
    let address = address(place);
    let longest = if address.is_ipv4() { 32 } else { 128 };
    IpNet::new(address, length % (longest + 1)).expect("a length that can be")
}

/// The rule by the letter: mapped IPv6 counts as IPv4, on both sides.
fn contains(network: &IpNet, address: IpAddr) -> bool {
    let address = address.to_canonical();
    match (network, address) {
        (IpNet::V6(v6), IpAddr::V4(v4)) => {
            let mapped = v6.network().to_ipv4_mapped().is_some() && v6.prefix_len() >= 96;
            mapped && v6.contains(&v4.to_ipv6_mapped())
        }
        _ => network.contains(&address),
    }
}

#[test]
fn fuzz() {
    let networks = produce::<Vec<((u8, u8, u128), u8)>>().with().len(0_usize..12);
    let probes = produce::<Vec<(u8, u8, u128)>>().with().len(0_usize..12);
    bounded(bolero::check!().with_generator((networks, probes)), 30_000).for_each(
        |(networks, probes)| {
            let networks: Vec<IpNet> =
                networks.iter().map(|(place, length)| network(*place, *length)).collect();
            let list = AddressList::new(networks.iter().copied());
            let borders =
                networks.iter().flat_map(|network| [network.network(), network.broadcast()]);
            let outside = networks.iter().flat_map(|network| {
                let (first, last) = (network.network(), network.broadcast());
                match (first, last) {
                    (IpAddr::V4(first), IpAddr::V4(last)) => [
                        IpAddr::V4(Ipv4Addr::from_bits(first.to_bits().wrapping_sub(1))),
                        IpAddr::V4(Ipv4Addr::from_bits(last.to_bits().wrapping_add(1))),
                    ],
                    (IpAddr::V6(first), IpAddr::V6(last)) => [
                        IpAddr::V6(Ipv6Addr::from_bits(first.to_bits().wrapping_sub(1))),
                        IpAddr::V6(Ipv6Addr::from_bits(last.to_bits().wrapping_add(1))),
                    ],
                    _ => [first, last],
                }
            });
            for probe in probes.iter().copied().map(address).chain(borders).chain(outside) {
                let scanned = networks.iter().any(|network| contains(network, probe));
                assert_eq!(list.contains(probe), scanned, "{probe} in {networks:?}");
                assert_eq!(list.permits(probe), scanned || networks.is_empty(), "{probe}");
                assert_eq!(subscriber(subscriber(probe)), subscriber(probe), "{probe}");
            }
        },
    );
}
