//! An application behind the edge that keeps what it was sent and answers everything alike.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::workspace::root;

const HEAD_END: &[u8] = b"\r\n\r\n";

/// A running application.
#[derive(Debug)]
pub struct Application {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Application {
    /// One that answers each request with `answer`, bytes for bytes, and closes.
    ///
    /// # Panics
    /// When there is no port to be had.
    pub async fn answering(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&requests), answer.as_bytes().to_vec());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer_one(stream, Arc::clone(&kept), answer.clone()));
            }
        });
        Self { address, requests }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests that reached it, as they came: head and body.
    ///
    /// # Panics
    /// When a test panicked while it looked.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic while it is held").clone()
    }

    /// As [`Self::requests`], and forgets them.
    ///
    /// # Panics
    /// When a test panicked while it looked.
    #[must_use]
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().expect("no panic while it is held"))
    }
}

/// Writes the checkout's route table with more pools and rows into `folder`, and answers where.
///
/// # Panics
/// When the table has another form, or cannot be written.
#[must_use]
pub fn routes_with(folder: &Path, pools: &str, rows: &str) -> String {
    let text = std::fs::read_to_string(root().join("config/routes.toml")).expect("routes.toml");
    let start = "\nroutes = [\n";
    assert!(text.contains(start), "config/routes.toml begins its list in another way");
    let text = text.replacen(start, &format!("\n{pools}{start}{rows}\n"), 1);
    let path = folder.join("routes.toml");
    std::fs::write(&path, text).expect("a route table");
    path.to_string_lossy().into_owned()
}

async fn answer_one(
    mut stream: TcpStream,
    requests: Arc<Mutex<Vec<String>>>,
    answer: Vec<u8>,
) -> std::io::Result<()> {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    while !is_whole(&read) {
        match stream.read(&mut buffer).await? {
            // The edge only looks whether somebody listens.
            0 if read.is_empty() => return Ok(()),
            0 => break,
            count => read.extend_from_slice(&buffer[..count]),
        }
    }
    let request = String::from_utf8_lossy(&read).into_owned();
    requests.lock().expect("no panic while it is held").push(request);
    stream.write_all(&answer).await
}

/// Whether a request's head is there, and as much body as it says.
fn is_whole(bytes: &[u8]) -> bool {
    let Some(head_len) = bytes.windows(4).position(|window| window == HEAD_END) else {
        return false;
    };
    let (head, body) = bytes.split_at(head_len + HEAD_END.len());
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    if let Some(length) = length {
        return body.len() >= length.trim().parse().unwrap_or(0);
    }
    !head.contains("\r\ntransfer-encoding: chunked") || body.ends_with(b"0\r\n\r\n")
}
