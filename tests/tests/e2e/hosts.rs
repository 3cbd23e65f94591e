//! Which host a request is for: said once, in one reading, or nobody hears of it.

use crate::hygiene::{ANSWER, Stage};

const ORIGIN: &str = "GET /open/a HTTP/1.1";

fn request(first: &str, hosts: &[&str]) -> String {
    let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
    format!("{first}\r\n{hosts}\r\n")
}

#[tokio::test]
async fn one_host_however_it_is_written_is_served() {
    let stage = Stage::set(ANSWER).await;
    for (first, host) in [
        (ORIGIN, "localhost"),
        (ORIGIN, "LOCALHOST"),
        (ORIGIN, "localhost."),
        (ORIGIN, "localhost:"),
        (ORIGIN, "localhost:1"),
        (ORIGIN, "[::1]:8080"),
        (ORIGIN, "[0:0::1]"),
        ("GET /open/a HTTP/1.0", "localhost"),
        ("GET http://localhost/open/a HTTP/1.1", "localhost"),
        ("GET HTTP://LOCALHOST:80/open/a HTTP/1.1", "LOCALHOST:80"),
        ("GET https://localhost/open/a HTTP/1.1", "localhost"),
    ] {
        let passed = stage.send(&request(first, &[host])).await;
        assert_eq!(passed.status, 200, "{first} {host}: {passed:?}");
        // The application gets the path alone, with the host that was judged beside it.
        let upstream = passed.upstream.as_deref().expect("a request");
        assert!(upstream.starts_with("GET /open/a HTTP/1.1\r\n"), "{upstream}");
        assert_eq!((passed.one("host"), passed.one("x-forwarded-host")), (host, host));
    }
    let elsewhere = ["xn--bcher-kva.example", "XN--BCHER-KVA.Example", "127.0.0.2"];
    for host in elsewhere {
        stage.send(&request(ORIGIN, &[host])).await.refused(404, host);
    }
}

#[tokio::test]
async fn a_host_that_is_none_or_not_said_is_a_problem() {
    let stage = Stage::set(ANSWER).await;
    for (first, hosts) in [
        (ORIGIN, vec![]),
        ("GET /open/a HTTP/1.0", vec![]),
        // HTTP/1.1 wants `Host` even beside an absolute target (RFC 9112, 3.2).
        ("GET http://localhost/open/a HTTP/1.1", vec![]),
        ("GET http://localhost/open/a HTTP/1.0", vec![]),
        (ORIGIN, vec![""]),
        (ORIGIN, vec!["local host"]),
        (ORIGIN, vec!["localhost:99999"]),
        (ORIGIN, vec!["localhost:port"]),
        (ORIGIN, vec!["localhost:80:80"]),
        (ORIGIN, vec!["[::1"]),
        (ORIGIN, vec!["[::1]x"]),
        (ORIGIN, vec!["::1"]),
        (ORIGIN, vec!["[::1%25lo]"]),
        (ORIGIN, vec!["localhost, localhost"]),
        (ORIGIN, vec!["."]),
        (ORIGIN, vec!["a..b"]),
        (ORIGIN, vec!["localhost.."]),
        (ORIGIN, vec!["local%68ost"]),
        (ORIGIN, vec!["localhost/x"]),
        (ORIGIN, vec!["xN--0.example"]),
        // A host is ASCII on the wire: what one reader maps to a letter, another takes as it is.
        (ORIGIN, vec!["\u{ff4c}ocalhost"]),
        (ORIGIN, vec!["b\u{fc}cher.example"]),
        (ORIGIN, vec!["localhost\u{3002}"]),
        // A target is a path, or the URI of one over HTTP.
        ("GET ftp://localhost/open/a HTTP/1.1", vec!["localhost"]),
        ("GET localhost/open/a HTTP/1.1", vec!["localhost"]),
        ("GET //localhost/open/a HTTP/1.1", vec!["localhost"]),
        ("GET * HTTP/1.1", vec!["localhost"]),
        ("OPTIONS * HTTP/1.1", vec!["localhost"]),
    ] {
        let request = request(first, &hosts);
        stage.send(&request).await.refused(400, &request);
    }
}

/// pingora compares the two byte for byte before any filter of ours is asked, and answers 400 without a body: no
/// problem document, but no application hears of it either, and nothing that it lets through is judged by two
/// hosts.
#[tokio::test]
async fn two_hosts_are_refused_before_the_edge_is_asked() {
    let stage = Stage::set(ANSWER).await;
    for (first, hosts) in [
        (ORIGIN, vec!["localhost", "localhost"]),
        (ORIGIN, vec!["localhost", "evil.example"]),
        (ORIGIN, vec!["user@localhost"]),
        ("GET http://localhost/open/a HTTP/1.1", vec!["evil.example"]),
        ("GET http://evil.example/open/a HTTP/1.1", vec!["localhost"]),
        ("GET http://localhost/open/a HTTP/1.1", vec!["LOCALHOST"]),
        ("GET http://localhost/open/a HTTP/1.1", vec!["localhost:80"]),
        ("GET http://localhost:1/open/a HTTP/1.1", vec!["localhost:2"]),
        ("GET http://user@localhost/open/a HTTP/1.1", vec!["localhost"]),
        ("GET http://user@localhost/open/a HTTP/1.1", vec![]),
        ("GET http://localhost@evil.example/open/a HTTP/1.1", vec!["localhost"]),
        ("GET http:///open/a HTTP/1.1", vec!["localhost"]),
        ("GET http:/open/a HTTP/1.1", vec!["localhost"]),
        ("GET /open/a HTTP/1.2", vec!["localhost"]),
        ("GET /open/a", vec!["localhost"]),
    ] {
        let request = request(first, &hosts);
        let passed = stage.send(&request).await;
        assert_eq!((passed.status, &passed.upstream), (400, &None), "{request:?}: {passed:?}");
    }
}
