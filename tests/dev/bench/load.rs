//! Load and what it ends at: keep-alive connections that each ask again as soon as they are answered, and an
//! upstream that always says the same. By hand, because a client library would cost more than the proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Longer than any header block here; an answer that needs more is an error.
const BUFFER_BYTES: usize = 4096;
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nhello there\n";

/// What a round of load did.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) requests: u64,
    pub(super) took: Duration,
}

/// Answers every request alike, for as long as the program runs.
pub(super) async fn start_upstream() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Ends when its peer does.
            tokio::spawn(answer_all(stream));
        }
    });
    Ok(address)
}

async fn answer_all(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; BUFFER_BYTES];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        if buffer[..filled].ends_with(b"\r\n\r\n") {
            stream.write_all(ANSWER).await?;
            filled = 0;
        }
    }
}

/// Sends `total` requests over `connections`, each waiting for its answer before the next.
pub(super) async fn run(
    address: SocketAddr,
    request: &str,
    connections: usize,
    total: u64,
) -> Result<Done> {
    let request: Arc<[u8]> = request.as_bytes().into();
    let left = Arc::new(AtomicU64::new(total));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        tasks.spawn(ask(address, Arc::clone(&request), Arc::clone(&left)));
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome??;
    }
    Ok(Done { requests: total, took: began.elapsed() })
}

async fn ask(address: SocketAddr, request: Arc<[u8]>, left: Arc<AtomicU64>) -> Result<()> {
    let mut stream = TcpStream::connect(address).await.context("cannot connect to the proxy")?;
    stream.set_nodelay(true)?;
    let mut buffer = [0; BUFFER_BYTES];
    while take_one(&left) {
        stream.write_all(&request).await?;
        let mut filled = 0;
        while !is_whole(&buffer[..filled])? {
            let read = stream.read(&mut buffer[filled..]).await?;
            if read == 0 {
                bail!("the proxy closed a connection");
            }
            filled += read;
        }
    }
    Ok(())
}

fn take_one(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// Whether the answer is complete: 200, and the upstream's words at its end.
fn is_whole(answer: &[u8]) -> Result<bool> {
    if answer.len() < b"HTTP/1.1 200".len() {
        return Ok(false);
    }
    if !answer.starts_with(b"HTTP/1.1 200") {
        bail!("not admitted: {}", String::from_utf8_lossy(answer));
    }
    Ok(answer.ends_with(b"\r\n\r\nhello there\n"))
}
