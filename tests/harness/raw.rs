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
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // The other side may close before it has read all.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(read)) = timeout(READ_WITHIN, stream.read(&mut buffer)).await {
        answer.extend_from_slice(&buffer[..read]);
        // A whole head is enough: the connection may stay open after it.
        if read == 0 || answer.windows(4).any(|window| window == b"\r\n\r\n") {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}
