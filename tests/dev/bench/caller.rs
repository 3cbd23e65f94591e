//! A kept-alive connection to an edge, and one question at a time over it.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A kept-alive connection to an edge.
pub(super) struct Caller(TcpStream);

impl Caller {
    pub(super) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot connect to an edge")?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Sends the request and reads the whole answer; its status.
    pub(super) async fn ask(&mut self, request: &str) -> Result<u16> {
        self.0.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let read = self.0.read(&mut buffer).await?;
            if read == 0 {
                bail!("the edge closed a connection");
            }
            answer.extend_from_slice(&buffer[..read]);
            let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            if answer.len() >= head + 4 + length {
                return text.get(9..12).and_then(|s| s.parse().ok()).context("no status");
            }
        }
    }
}
