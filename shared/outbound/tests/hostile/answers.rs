//! Servers that answer badly, too much, too slowly, or not at all.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use outbound::{Client, Config, RetryAfter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::*;

/// Reads a request, sends `bytes`, and hangs up.
async fn say(mut stream: TcpStream, bytes: &[u8]) -> io::Result<()> {
    request(&mut stream).await?;
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    // Closing with unread input would reset the connection before the client has read all.
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}

/// Reads a request, sends `head`, then `more` for ever, with `pause` in between.
async fn go_on(
    mut stream: TcpStream,
    head: &[u8],
    more: &[u8],
    pause: Option<Duration>,
) -> io::Result<()> {
    request(&mut stream).await?;
    stream.write_all(head).await?;
    loop {
        stream.write_all(more).await?;
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
    }
}

const NOW_AND_THEN: Option<Duration> = Some(Duration::from_millis(20));

#[tokio::test]
async fn a_plain_answer_is_told_as_it_is() {
    let server = Server::start(|stream| {
        say(stream, b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 3\r\n\r\nno!")
    })
    .await;
    let answer = post(&client(), &server.url()).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (503, b"no!".as_slice()));
    assert_eq!(answer.retry_after, Some(RetryAfter::Seconds(7)));
    assert!(!answer.cut && answer.first_byte_after <= answer.took);
}

#[tokio::test]
async fn redirects_are_answers_and_are_not_followed() {
    let decoy = decoy((FORBIDDEN, 0));
    let server = Server::start(|mut stream| async move {
        loop {
            let head = request(&mut stream).await?;
            let path = head.split(' ').nth(1).unwrap();
            let (status, target) = path.trim_start_matches('/').split_once('/').unwrap();
            let answer = format!(
                "HTTP/1.1 {status} Elsewhere\r\nlocation: http://{target}/\r\ncontent-length: 0\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await?;
        }
    })
    .await;
    let client = client();
    for target in [decoy.local_addr().unwrap().to_string(), "169.254.169.254".into()] {
        for status in [301_u16, 302, 303, 307, 308] {
            let url = format!("http://{}/{status}/{target}", server.address);
            assert_eq!(post(&client, &url).await.unwrap().status.as_u16(), status);
        }
    }
    assert!(untouched(&decoy));
}

#[tokio::test]
async fn a_server_that_never_answers_ends_by_time() {
    let server = Server::start(|mut stream| async move {
        request(&mut stream).await?;
        stream.read_to_end(&mut Vec::new()).await.map(drop)
    })
    .await;
    assert_eq!(code(post(&impatient(), &server.url()).await), "timeout");
    server.connection_ended().await;
}

#[tokio::test]
async fn a_server_that_never_reads_ends_by_time() {
    let server = Server::start(|stream| async move {
        let _open = stream;
        std::future::pending().await
    })
    .await;
    let body = Bytes::from(vec![b'x'; 32 << 20]);
    let result = send(&impatient(), &server.url(), body).await;
    assert_eq!(code(result), "timeout");
}

#[tokio::test]
async fn slow_headers_end_by_time() {
    let server =
        Server::start(|stream| go_on(stream, b"HTTP/1.1 200 OK\r\n", b"x", NOW_AND_THEN)).await;
    assert_eq!(code(post(&impatient(), &server.url()).await), "timeout");
    server.connection_ended().await;
}

#[tokio::test]
async fn a_slow_body_ends_by_the_whole_time() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
    let server = Server::start(|stream| go_on(stream, head, b"x", NOW_AND_THEN)).await;
    assert_eq!(code(post(&impatient(), &server.url()).await), "timeout");
    server.connection_ended().await;
}

#[tokio::test]
async fn an_endless_body_is_cut_and_the_connection_dropped() {
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let more = b"8\r\nxxxxxxxx\r\n";
    for server in [
        Server::start(|stream| go_on(stream, b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 8192], None))
            .await,
        Server::start(|stream| go_on(stream, chunked, more, None)).await,
    ] {
        let answer = post(&client(), &server.url()).await.unwrap();
        assert_eq!(answer.body, vec![b'x'; Config::ANSWER_BYTES_MAX]);
        assert!(answer.cut);
        server.connection_ended().await;
    }
}

#[tokio::test]
async fn a_body_of_just_the_most_bytes_is_not_cut() {
    let server = Server::start(|stream| {
        say(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789")
    })
    .await;
    for (most, cut) in [(11, false), (10, false), (9, true), (0, true)] {
        let config = Config { answer_bytes_max: most, ..config(policy()) };
        let answer = post(&Client::new(config).unwrap(), &server.url()).await.unwrap();
        assert_eq!((answer.cut, answer.body.len()), (cut, most.min(10)));
    }
}

#[tokio::test]
async fn a_length_that_promises_too_much_is_broken_off() {
    let server =
        Server::start(|stream| say(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort"))
            .await;
    assert_eq!(code(post(&client(), &server.url()).await), "broken_off");
}

#[tokio::test]
async fn what_follows_an_answer_is_not_the_next_ones() {
    // A length that promises too little: the rest looks like the answer to a request not yet made.
    let server = Server::start(|mut stream| async move {
        request(&mut stream).await?;
        let two = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 500 Smuggled\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(two).await?;
        stream.read_to_end(&mut Vec::new()).await.map(drop)
    })
    .await;
    let client = client();
    for _ in 0..20 {
        let answer = post(&client, &server.url()).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, b"ok".as_slice()));
    }
    assert_eq!(server.connections(), 20);
}

#[tokio::test]
async fn an_end_before_the_end_is_broken_off() {
    for server in [
        Server::start(|stream| say(stream, b"")).await,
        Server::start(|stream| say(stream, b"HTTP/1.1 200 OK\r\ncontent-")).await,
        Server::start(|stream| {
            say(stream, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\nxx")
        })
        .await,
    ] {
        assert_eq!(code(post(&client(), &server.url()).await), "broken_off");
    }
}

#[tokio::test]
async fn a_reset_is_broken_off() {
    // The request is left unread, so that closing resets the connection.
    let server = Server::start(|stream| async move { stream.readable().await }).await;
    assert_eq!(code(post(&client(), &server.url()).await), "broken_off");
}

#[tokio::test]
async fn what_is_not_http_is_a_fault_of_protocol() {
    for server in [
        Server::start(|stream| say(stream, b"SSH-2.0-OpenSSH_9.9\r\n\r\n")).await,
        Server::start(|stream| say(stream, b"+PONG\r\n-ERR unknown command\r\n")).await,
        Server::start(|stream| say(stream, &[0, 1, 2, 255, 254, 10, 10])).await,
        Server::start(|stream| say(stream, b"HTTP/1.1 20x OK\r\n\r\n")).await,
        Server::start(|stream| say(stream, b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n")).await,
        Server::start(|stream| say(stream, b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n")).await,
        Server::start(|stream| {
            say(stream, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")
        })
        .await,
    ] {
        assert_eq!(code(post(&client(), &server.url()).await), "protocol");
    }
}

#[tokio::test]
async fn headers_are_bounded_in_size_and_number() {
    let start = b"HTTP/1.1 200 OK\r\nx: ";
    for server in [
        // One value for ever, headers for ever, and too many that end.
        Server::start(|stream| go_on(stream, start, &[b'x'; 8192], None)).await,
        Server::start(|stream| go_on(stream, start, b"x\r\ny: z", None)).await,
        Server::start(|stream| async move {
            let many = "a: b\r\n".repeat(1000);
            say(stream, format!("HTTP/1.1 200 OK\r\n{many}\r\n").as_bytes()).await
        })
        .await,
        Server::start(|stream| async move {
            let value = "x".repeat(1 << 20);
            say(stream, format!("HTTP/1.1 200 OK\r\na: {value}\r\n\r\n").as_bytes()).await
        })
        .await,
    ] {
        assert_eq!(code(post(&client(), &server.url()).await), "protocol");
        server.connection_ended().await;
    }
}

#[tokio::test]
async fn interim_answers_without_end_end_by_time() {
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
    let server = Server::start(|stream| go_on(stream, b"", interim, None)).await;
    assert_eq!(code(post(&impatient(), &server.url()).await), "timeout");
    server.connection_ended().await;
}

#[tokio::test]
async fn another_protocol_is_not_switched_to() {
    let server = Server::start(|stream| {
        let switch =
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n";
        go_on(stream, switch, b"x", NOW_AND_THEN)
    })
    .await;
    assert_eq!(post(&client(), &server.url()).await.unwrap().status, 101);
    server.connection_ended().await;
}

#[tokio::test]
async fn what_is_compressed_stays_so() {
    let server = Server::start(|mut stream| async move {
        let head = request(&mut stream).await?;
        assert!(!head.contains("accept-encoding"), "{head}");
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n").await?;
        // The start of a gzip stream of blocks that repeat; no client that inflates would hand on these bytes.
        stream.write_all(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03").await?;
        loop {
            stream.write_all(&[0; 4096]).await?;
        }
    })
    .await;
    let answer = post(&client(), &server.url()).await.unwrap();
    assert!(answer.cut && answer.body.starts_with(b"\x1f\x8b\x08"));
    assert_eq!(answer.body.len(), Config::ANSWER_BYTES_MAX);
}
