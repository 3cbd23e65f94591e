//! `X-Forwarded-For`: nobody but trusted proxies moves the caller's address, whatever is in the lines.

use std::net::{IpAddr, Ipv6Addr};

use bolero::produce;
use policy::forwarded::TrustedProxies;

use crate::input::{bounded, text};

const WORDS: [&str; 16] = [
    ",",
    ", ",
    ",",
    "10.0.0.2",
    "10.0.0.3:80",
    "[::ffff:10.0.0.4]",
    "::ffff:10.0.0.5",
    "203.0.113.9",
    "198.51.100.1:443",
    "2001:db8::1",
    "[2001:db8::2]",
    "[2001:db8::3]:443",
    "unknown",
    "\t",
    "fe80::1%eth0",
    "010.0.0.1",
];

/// An address as proxies write it (RFC 7239, 6, and what is common in `X-Forwarded-For`).
fn named(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let port = |text: &str| text.parse::<u16>().is_ok() && !text.starts_with('+');
    if let Some((bare, after)) = hop.strip_prefix('[').and_then(|hop| hop.split_once(']')) {
        let v6 = bare.parse().ok().map(|bare: Ipv6Addr| IpAddr::V6(bare));
        return match after.strip_prefix(':') {
            Some(after) => v6.filter(|_| port(after)),
            None => v6.or_else(|| bare.parse().ok()).filter(|_| after.is_empty()),
        };
    }
    let with_port = || hop.split_once(':').filter(|(_, after)| port(after));
    hop.parse().ok().or_else(|| Some(IpAddr::V4(with_port()?.0.parse().ok()?)))
}

#[test]
fn fuzz() {
    let network = |text: &str| text.parse().expect("a network");
    let nobody = TrustedProxies::new([]);
    let proxies = TrustedProxies::new([network("10.0.0.0/8")]);
    let is_proxy = |address: IpAddr| matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 10);
    let lines = produce::<Vec<Vec<u8>>>().with().len(0_usize..4);
    bounded(bolero::check!().with_generator((produce::<bool>(), lines)), 30_000).for_each(
        |(inside, lines)| {
            let lines: Vec<String> =
                lines.iter().map(|bytes| text(&bytes[..bytes.len().min(12)], &WORDS)).collect();
            let of = |proxies: &TrustedProxies, lines: &[String], peer: IpAddr| {
                proxies.client_address(Some(peer), lines.iter().map(String::as_bytes))
            };
            let peer: IpAddr = if *inside { [10, 0, 0, 1] } else { [192, 0, 2, 1] }.into();
            assert_eq!(of(&nobody, &lines, peer), peer);
            let client = of(&proxies, &lines, peer);
            assert!(*inside || client == peer, "{lines:?}");
            assert_eq!(client, client.to_canonical(), "{lines:?}");

            // Several lines are one list (RFC 9110, 5.3), and the first hop outside ends it.
            assert_eq!(of(&proxies, &[lines.join(",")], peer), client, "{lines:?}");
            let mut longer = vec!["203.0.113.77, 10.9.9.9".to_owned()];
            longer.extend(lines.iter().cloned());
            if !is_proxy(client) {
                assert_eq!(of(&proxies, &longer, peer), client, "{lines:?}");
            }
            // Read from the right, up to the first that cannot be read: the first outside, or the last inside.
            let text = lines.join(",");
            let named = text.rsplit(',').map(named);
            let named: Vec<_> = named.map_while(|hop| hop.map(|hop| hop.to_canonical())).collect();
            let expected = named.iter().find(|hop| !is_proxy(**hop)).or(named.last()).copied();
            if *inside {
                assert_eq!(client, expected.unwrap_or(peer), "{lines:?}");
            }
        },
    );
}
