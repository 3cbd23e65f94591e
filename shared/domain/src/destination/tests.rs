//! Which addresses tenants may name.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

/// Of no use to a tenant.
const RESERVED: &str = "
    0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.100.100.200 100.127.255.255 127.0.0.1
    127.255.255.255 168.63.129.16 169.254.0.0 169.254.169.254 172.16.0.0 172.31.255.255 192.0.0.192 192.0.2.1
    192.88.99.1 192.168.0.0 192.168.255.255 198.18.0.0 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1
    239.255.255.255 240.0.0.0 255.255.255.255 :: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1
    64:ff9b::127.0.0.1 64:ff9b::169.254.169.254 64:ff9b:1::1 100::1 2001::1 2001:2::1 2001:10::1 2001:20::1
    2001:db8::1 2002:7f00:1:: 2002:a9fe:a9fe::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 febf::1 fec0::1
    ff02::1 4000::1 1fff::1";

/// Next to those.
const NEIGHBOURS: &str = "
    1.0.0.0 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 168.63.129.15
    168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0 192.167.255.255
    192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 2606:4700::1111 2001:4860::8888 2a00::1 2001:db9::1
    2003::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1 3ffe::1";

fn public(text: &str) -> bool {
    is_public(text.parse().unwrap())
}

fn check(policy: &DestinationPolicy, text: &str) -> Result<(), Refused> {
    policy.check(&text.parse().unwrap())
}

#[test]
fn only_the_internets_addresses_are_public() {
    for address in RESERVED.split_whitespace() {
        assert!(!public(address), "{address}");
    }
    for address in NEIGHBOURS.split_whitespace() {
        assert!(public(address), "{address}");
    }
}

#[test]
fn no_spelling_of_an_address_smuggles_it_in() {
    let policy = DestinationPolicy { ports: Vec::new(), allow_http: true, ..Default::default() };
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0x7f.1",
        "127.0.0.1.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::]",
        "[0:0:0:0:0:ffff:a9fe:a9fe]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "x.localhost",
        "１２７.０.０.１",
        "127。0。0。1",
        "%31%32%37.0.0.1",
        "0",
        "169.254.169.254",
    ] {
        assert_eq!(check(&policy, &format!("http://{host}/")), Err(Refused::Address), "{host}");
    }
    assert_eq!(check(&policy, "http://8.8.8.8/"), Ok(()));
    assert_eq!(check(&policy, "http://example.com/"), Ok(()));
}

#[test]
fn what_is_no_destination_is_refused() {
    let refused = |text: &str| text.parse::<Destination>().unwrap_err();
    for text in [
        "",
        "example.com",
        "/hooks",
        "https://",
        "https:///",
        "http://[::1",
        "https://a:99999/",
        "https://a:0/",
    ] {
        assert_eq!(refused(text), DestinationError::Malformed, "{text}");
    }
    for text in ["ftp://example.com/", "file:///etc/passwd", "gopher://127.0.0.1:6379/_", "data:x"]
    {
        assert_eq!(refused(text), DestinationError::Scheme, "{text}");
    }
    assert_eq!(refused("https://example.com@127.0.0.1/"), DestinationError::Credentials);
    assert_eq!(refused("https://:x@example.com/"), DestinationError::Credentials);
    assert_eq!(refused("https://example.com/#x"), DestinationError::Fragment);
    assert_eq!(
        refused(&format!("https://example.com/{}", "a".repeat(2000))),
        DestinationError::TooLong
    );
    assert_eq!(
        refused(&format!("https://example.com/{}", "é".repeat(1000))),
        DestinationError::TooLong
    );
}

#[test]
fn scheme_and_port_are_the_operators_to_allow() {
    let strict = DestinationPolicy::default();
    assert_eq!(check(&strict, "https://example.com/"), Ok(()));
    assert_eq!(check(&strict, "https://example.com:8443/"), Ok(()));
    assert_eq!(check(&strict, "https://example.com:22/"), Err(Refused::Port(443)));
    assert_eq!(check(&strict, "http://example.com/"), Err(Refused::Unencrypted));
    let plain = DestinationPolicy { allow_http: true, ..Default::default() };
    assert_eq!(check(&plain, "http://example.com/"), Ok(()));
    assert_eq!(check(&plain, "http://example.com:6379/"), Err(Refused::Port(443)));
}

#[test]
fn an_allowed_network_may_be_called_at_any_port_and_no_other() {
    let policy = DestinationPolicy {
        allowed_networks: vec!["10.1.0.0/16".parse().unwrap()],
        ..Default::default()
    };
    assert_eq!(check(&policy, "http://10.1.2.3:9000/"), Ok(()));
    assert_eq!(check(&policy, "http://[::ffff:10.1.2.3]:9000/"), Ok(()));
    assert_eq!(check(&policy, "http://10.2.0.1:9000/"), Err(Refused::Address));
    // A name may lead there: told when it is looked up.
    let name: Destination = "http://hooks.internal:9000/".parse().unwrap();
    assert_eq!(policy.check(&name), Ok(()));
    assert_eq!(policy.check_address("10.1.0.1".parse().unwrap(), &name), Ok(()));
    assert_eq!(policy.check_address("8.8.8.8".parse().unwrap(), &name), Err(Refused::Unencrypted));
    assert_eq!(policy.check_address("127.0.0.1".parse().unwrap(), &name), Err(Refused::Address));
}

proptest! {
    #[test]
    fn an_address_within_another_is_what_it_is(bits: u32) {
        let address = Ipv4Addr::from_bits(bits);
        let expected = is_public(address.into());
        let [a, b, c, d] = address.octets().map(u16::from);
        let (high, low) = (a << 8 | b, c << 8 | d);
        for within in [
            address.to_ipv6_mapped(),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
        ] {
            prop_assert_eq!(is_public(within.into()), expected);
        }
    }

    #[test]
    fn any_text_is_parsed_without_panic(text in ".{0,64}") {
        let _ = text.parse::<Destination>();
        if let Ok(destination) = format!("https://{text}").parse::<Destination>() {
            let _ = DestinationPolicy::default().check(&destination);
        }
    }
}
