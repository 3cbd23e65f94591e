//! Which addresses are of the public internet (IANA special-purpose address registries; RFC 6890 and its successors).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 ranges that are not, as first address and prefix length.
const RESERVED_V4: [([u8; 4], u32); 19] = [
    // "This network" (RFC 791).
    ([0, 0, 0, 0], 8),
    // Private (RFC 1918).
    ([10, 0, 0, 0], 8),
    ([172, 16, 0, 0], 12),
    ([192, 168, 0, 0], 16),
    // Carrier-grade NAT (RFC 6598); metadata of Alibaba Cloud, too.
    ([100, 64, 0, 0], 10),
    // Loopback (RFC 1122).
    ([127, 0, 0, 0], 8),
    // Link-local (RFC 3927): metadata of most clouds.
    ([169, 254, 0, 0], 16),
    // Of Azure's machines: metadata, DNS, health, at a public address.
    ([168, 63, 129, 16], 32),
    // IETF protocols (RFC 6890); metadata of Oracle Cloud, too.
    ([192, 0, 0, 0], 24),
    // Documentation (RFC 5737).
    ([192, 0, 2, 0], 24),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    // 6to4 relays (RFC 7526).
    ([192, 88, 99, 0], 24),
    // Benchmarks (RFC 2544).
    ([198, 18, 0, 0], 15),
    // AS112 (RFC 7534, 7535), AMT (RFC 7450).
    ([192, 31, 196, 0], 24),
    ([192, 52, 193, 0], 24),
    ([192, 175, 48, 0], 24),
    // Multicast (RFC 5771).
    ([224, 0, 0, 0], 4),
    // For later, and broadcast (RFC 1112, 919).
    ([240, 0, 0, 0], 4),
];

/// IPv6 ranges within global unicast (2000::/3) that are not.
const RESERVED_V6: [([u16; 3], u32); 3] = [
    // IETF protocols (RFC 2928): Teredo, which leads to an IPv4 address that is not looked at, benchmarks, ORCHID.
    ([0x2001, 0, 0], 23),
    // Documentation (RFC 3849, 9637).
    ([0x2001, 0x0db8, 0], 32),
    ([0x3fff, 0, 0], 20),
];

/// Whether an address is of the public internet; one that holds an IPv4 address is what that one is.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    let within = |(first, length): &([u8; 4], u32)| {
        (bits ^ Ipv4Addr::from(*first).to_bits()) >> (32 - length) == 0
    };
    !RESERVED_V4.iter().any(within)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = inner_v4(address) {
        return is_public_v4(inner);
    }
    let segments = address.segments();
    let global = segments[0] & 0xe000 == 0x2000;
    let bits = address.to_bits();
    let within = |(first, length): &([u16; 3], u32)| {
        let first = Ipv6Addr::new(first[0], first[1], first[2], 0, 0, 0, 0, 0).to_bits();
        (bits ^ first) >> (128 - length) == 0
    };
    global && !RESERVED_V6.iter().any(within)
}

/// The IPv4 address to which packets for an IPv6 address would go: mapped (RFC 4291), NAT64 (RFC 6052), 6to4
/// (RFC 3056).
fn inner_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(join(high, low))
        }
        [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}
