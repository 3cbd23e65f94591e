//! Who may be called, and who is never connected to.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use domain::destination::DestinationPolicy;
use outbound::{Client, Config, Failure};

use crate::fixture::*;

/// Refuses nothing but addresses.
fn only_addresses_matter() -> DestinationPolicy {
    DestinationPolicy { allowed_networks: Vec::new(), allow_http: true, ports: Vec::new() }
}

fn lying(policy: DestinationPolicy, answers: &[&[&str]]) -> (Client, Arc<Lies>) {
    let lies = Lies::new(answers);
    (Client::with_look_up(config(policy), lies.clone()).unwrap(), lies)
}

#[tokio::test]
async fn no_spelling_of_loopback_is_connected_to() {
    let v4 = decoy((FORBIDDEN, 0));
    let port = v4.local_addr().unwrap().port();
    // Not every machine has IPv6.
    let v6 = std::net::TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).ok();
    let client = Client::new(config(only_addresses_matter())).unwrap();
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "0177.0.0.1",
        "0x7f000001",
        "2130706433",
        "１２７.0.0.1",
        "%31%32%37.0.0.1",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
    ] {
        assert_eq!(code(post(&client, &format!("http://{host}:{port}/")).await), "refused_address");
        assert!(untouched(&v4), "{host}");
    }
    if let Some(v6) = v6 {
        v6.set_nonblocking(true).unwrap();
        assert!(untouched(&v6));
    }
}

#[tokio::test]
async fn no_private_or_reserved_address_is_called() {
    let (client, lies) = lying(only_addresses_matter(), &[&["8.8.8.8"]]);
    for host in [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "168.63.129.16",
        "192.0.0.192",
        "224.0.0.1",
        "255.255.255.255",
        "[fe80::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::a9fe:a9fe]",
    ] {
        assert_eq!(
            code(post(&client, &format!("http://{host}/")).await),
            "refused_address",
            "{host}"
        );
    }
    assert_eq!(lies.asked(), 0);
}

#[tokio::test]
async fn no_name_leads_to_them_either() {
    for address in [
        "127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "fd00:ec2::254",
    ] {
        let decoy = decoy((FORBIDDEN, 0));
        let port = decoy.local_addr().unwrap().port();
        let (client, lies) = lying(only_addresses_matter(), &[&[address]]);
        let result = post(&client, &format!("http://hooks.test:{port}/")).await;
        assert_eq!(code(result), "refused_address", "{address}");
        assert_eq!(lies.asked(), 1);
        assert!(untouched(&decoy), "{address}");
    }
}

#[tokio::test]
async fn a_name_that_is_bound_anew_to_loopback_is_refused() {
    let server = Server::start(|mut stream| async move {
        request(&mut stream).await?;
        let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await
    })
    .await;
    let decoy = decoy((FORBIDDEN, server.address.port()));
    let (client, lies) = lying(policy(), &[&["127.0.0.2"], &["127.0.0.1"]]);
    let url = format!("http://hooks.test:{}/", server.address.port());
    assert_eq!(post(&client, &url).await.unwrap().status, 200);
    // One look-up a connection: what was judged is what is connected to, with no second question in between.
    assert_eq!(lies.asked(), 1);
    for _ in 0..3 {
        assert_eq!(code(post(&client, &url).await), "refused_address");
    }
    assert_eq!(lies.asked(), 4);
    assert!(untouched(&decoy));
}

#[tokio::test]
async fn of_a_names_addresses_only_the_admitted_are_used() {
    let server = Server::start(good).await;
    let decoy = decoy((FORBIDDEN, server.address.port()));
    let mixed: &[&str] = &["127.0.0.1", "10.0.0.1", "::1", "127.0.0.2"];
    let (client, _) = lying(policy(), &[mixed]);
    let url = format!("http://hooks.test:{}/", server.address.port());
    assert_eq!(post(&client, &url).await.unwrap().status, 200);
    assert!(untouched(&decoy));
}

#[tokio::test]
async fn an_allowed_network_is_reached_at_any_port_and_in_the_mapped_form() {
    let server = Server::start(good).await;
    let port = server.address.port();
    let (client, _) = lying(policy(), &[&["::ffff:127.0.0.2"]]);
    for host in ["127.0.0.2", "[::ffff:127.0.0.2]", "hooks.test"] {
        assert_eq!(post(&client, &format!("http://{host}:{port}/")).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn scheme_and_port_hold_for_public_addresses_also_behind_names() {
    // Were one of these let through, the call would leave the machine, or end as "connect".
    let (client, lies) = lying(policy(), &[&["8.8.8.8", "2606:4700::1111"]]);
    for (url, words) in [
        ("http://hooks.test/", "https"),
        ("http://hooks.test:443/", "https"),
        ("https://hooks.test:22/", "port"),
        ("https://hooks.test:6379/", "port"),
    ] {
        let failure = post(&client, url).await.unwrap_err();
        assert_eq!(failure.code(), "refused_address", "{url}");
        assert!(failure.to_string().contains(words), "{failure}");
    }
    assert_eq!(lies.asked(), 4);
    for url in ["http://8.8.8.8/", "https://8.8.8.8:22/", "https://[2606:4700::1111]:22/"] {
        assert_eq!(code(post(&client, url).await), "refused_address", "{url}");
    }
}

#[tokio::test]
async fn where_nothing_private_is_allowed_wrong_forms_are_not_even_looked_up() {
    let (client, lies) = lying(DestinationPolicy::default(), &[&["8.8.8.8"]]);
    for url in ["http://hooks.test/", "https://hooks.test:22/", "https://localhost/"] {
        assert_eq!(code(post(&client, url).await), "refused_address", "{url}");
    }
    assert_eq!(lies.asked(), 0);
}

#[tokio::test]
async fn what_a_name_resolved_to_is_not_told() {
    for address in ["127.0.0.1", "10.11.12.13", "fd12::3456"] {
        let (client, _) = lying(policy(), &[&[address]]);
        let failure = post(&client, "https://hooks.test/").await.unwrap_err();
        for shown in [failure.to_string(), format!("{failure:?}")] {
            assert!(!shown.contains(address), "{shown}");
        }
        assert!(failure.to_string().contains("a private or reserved address"), "{failure}");
    }
}

#[tokio::test]
async fn a_name_without_an_address_is_told_from_one_without_a_server() {
    let (client, _) = lying(policy(), &[&[]]);
    assert_eq!(post(&client, "https://hooks.test/").await, Err(Failure::Dns));
    let (client, _) = lying(policy(), &[]);
    assert_eq!(post(&client, "https://hooks.test/").await, Err(Failure::Dns));
    let closed = decoy((ALLOWED, 0)).local_addr().unwrap();
    assert_eq!(post(&client, &format!("http://{closed}/")).await, Err(Failure::Connect));
}

#[tokio::test]
async fn a_name_that_nobody_can_have_has_no_address() {
    let (client, _) = lying(policy(), &[&["127.0.0.2"]]);
    // The URL standard lets this through, HTTP's grammar does not.
    assert_eq!(post(&client, "https://hooks{a}.test/").await, Err(Failure::Dns));
}

#[tokio::test]
async fn a_name_server_that_never_answers_ends_by_the_time_for_connecting() {
    let config = Config { connect_timeout: SHORT, timeout: 100 * PATIENCE, ..config(policy()) };
    let client = Client::with_look_up(config, Arc::new(Silence)).unwrap();
    assert_eq!(post(&client, "https://hooks.test/").await, Err(Failure::Timeout));
}
