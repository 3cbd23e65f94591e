//! Bytes over a socket: requests that no client library would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const READ_WITHIN: Duration = Duration::from_secs(3);

/// Sends `bytes` and reads what comes until the other side closes or is silent; lossy text.
///
/// # Panics
/// When no connection can be made.
pub async fn raw(address: &str, bytes: &[u8]) -> String {
    // A whole head is enough: the connection may stay open after it.
    exchange(address, bytes, |answer| answer.windows(4).any(|window| window == b"\r\n\r\n")).await
}

/// As [`raw`], but all that comes until the other side closes.
///
/// # Panics
/// When no connection can be made.
pub async fn raw_to_end(address: &str, bytes: &[u8]) -> String {
    exchange(address, bytes, |_| false).await
}

async fn exchange(address: &str, bytes: &[u8], enough: impl Fn(&[u8]) -> bool) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // The other side may close before it has read all.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(read)) = timeout(READ_WITHIN, stream.read(&mut buffer)).await {
        answer.extend_from_slice(&buffer[..read]);
        if read == 0 || enough(&answer) {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}
