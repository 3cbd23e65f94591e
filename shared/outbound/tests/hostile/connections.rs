//! What is sent, over which connections, and past which proxies.

use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use outbound::{BuildError, Client, Config};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::fixture::*;

#[tokio::test]
async fn a_good_server_is_called_over_one_connection() {
    let server = Server::start(good).await;
    let lies = Lies::new(&[&["127.0.0.2"]]);
    let client = Client::with_look_up(config(policy()), lies.clone()).unwrap();
    for _ in 0..100 {
        let url = format!("http://hooks.test:{}/", server.address.port());
        assert_eq!(post(&client.clone(), &url).await.unwrap().status, 200);
    }
    assert_eq!((server.connections(), lies.asked()), (1, 1));
}

#[tokio::test]
async fn many_calls_at_once_reuse_what_they_opened() {
    let server = Arc::new(Server::start(good).await);
    let client = client();
    for _ in 0..20 {
        let mut calls = JoinSet::new();
        for _ in 0..50 {
            let (client, server) = (client.clone(), server.clone());
            calls.spawn(async move { post(&client, &server.url()).await.unwrap().status });
        }
        assert!(calls.join_all().await.iter().all(|status| *status == 200));
    }
    // The first round opens one for each call, and later ones may open some that they do not wait for.
    assert!(server.connections() <= 200, "{}", server.connections());
}

#[tokio::test]
async fn nothing_is_sent_that_was_not_given_and_nothing_is_remembered() {
    let server = Server::start(|mut stream| async move {
        loop {
            let head = request(&mut stream).await?;
            let answer = format!(
                "HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: {}\r\n\r\n{head}",
                head.len()
            );
            stream.write_all(answer.as_bytes()).await?;
        }
    })
    .await;
    let client = client();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("webhook-id", "msg_1"),
        ("host", "internal.test"),
        ("content-length", "1"),
        ("transfer-encoding", "chunked"),
        ("connection", "upgrade"),
        ("expect", "100-continue"),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    let expected = format!(
        "POST /hook HTTP/1.1\r\nwebhook-id: msg_1\r\nuser-agent: pytake-test\r\naccept: */*\r\n\
         host: {}\r\ncontent-length: 2\r\n\r\n",
        server.address
    );
    for _ in 0..2 {
        let destination = server.url().parse().unwrap();
        let answer =
            client.post(&destination, headers.clone(), Bytes::from_static(b"{}")).await.unwrap();
        let mut sent: Vec<_> = std::str::from_utf8(&answer.body).unwrap().lines().collect();
        let mut wanted: Vec<_> = expected.lines().collect();
        sent.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(sent, wanted);
    }
}

#[test]
fn proxies_of_the_environment_are_passed_by() {
    let proxy = decoy((FORBIDDEN, 0));
    let url = format!("http://{}", proxy.local_addr().unwrap());
    // The environment is read once by a process, so another one runs a test that must go as ever.
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "connections::a_good_server_is_called_over_one_connection"]);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
    {
        child.env(name, &url);
    }
    // In a CGI's environment, HTTP_PROXY would be left alone.
    child.env_remove("NO_PROXY").env_remove("no_proxy").env_remove("REQUEST_METHOD");
    let output = child.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    assert!(untouched(&proxy));
}

#[tokio::test]
async fn what_is_malformed_is_told_at_once() {
    for broken in [
        Config { user_agent: "a\nb".into(), ..config(policy()) },
        Config { extra_roots: vec![b"not a certificate".to_vec()], ..config(policy()) },
    ] {
        assert!(matches!(Client::new(broken), Err(BuildError::Build(_))));
    }
}
