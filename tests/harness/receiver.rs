//! A receiver of webhooks: keeps what it was sent, over connections that stay open, and answers as it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::wait::poll_async;

const RECEIVED_WITHIN: Duration = Duration::from_secs(30);

/// What it received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Method and path.
    pub line: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// When its head was there.
    pub at: Instant,
}

impl Received {
    /// A header's value, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// `webhook-id`.
    #[must_use]
    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// How it answers.
#[derive(Debug, Clone)]
pub enum Manner {
    /// By a status, with further header lines (each ended by CRLF) and a body.
    Answer(u16, &'static str, &'static str),
    /// Not at all: takes the request and keeps the connection.
    Swallow,
}

#[derive(Debug)]
struct State {
    received: Mutex<Vec<Received>>,
    /// What is answered next, one each; then what is always answered.
    next: Mutex<VecDeque<Manner>>,
    always: Mutex<Manner>,
    keeps: bool,
    count: std::sync::atomic::AtomicU64,
    delay: Duration,
}

/// The receiver. Ends with the runtime.
#[derive(Debug, Clone)]
pub struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Receiver {
    /// One that answers 200.
    ///
    /// # Panics
    /// When there is no port to be had.
    pub async fn start() -> Self {
        Self::with(true, Duration::ZERO).await
    }

    /// One that counts and keeps nothing, for benches.
    ///
    /// # Panics
    /// When there is no port to be had.
    pub async fn counting() -> Self {
        Self::with(false, Duration::ZERO).await
    }

    /// One that takes its time, and has received only what is still waited for then.
    ///
    /// # Panics
    /// When there is no port to be had.
    pub async fn slow(delay: Duration) -> Self {
        Self::with(true, delay).await
    }

    async fn with(keeps: bool, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            received: Mutex::default(),
            next: Mutex::default(),
            always: Mutex::new(Manner::Answer(200, "", "")),
            keeps,
            count: std::sync::atomic::AtomicU64::new(0),
            delay,
        });
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { address, state }
    }

    /// Where webhooks are to be sent.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    /// From now on it answers so.
    pub fn always(&self, manner: Manner) {
        *hold(&self.state.always) = manner;
    }

    /// The next requests are answered so, one each, before the usual.
    pub fn next(&self, manners: impl IntoIterator<Item = Manner>) {
        hold(&self.state.next).extend(manners);
    }

    /// All that was received.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        hold(&self.state.received).clone()
    }

    /// How much was received.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.state.count.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// All that was received, once it is so much.
    ///
    /// # Panics
    /// When it is not in a fair time.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let enough = poll_async(RECEIVED_WITHIN, async || {
            Some(self.received()).filter(|received| received.len() >= count)
        });
        let enough = enough.await;
        enough.unwrap_or_else(|| panic!("{count} are not received, but {:#?}", self.received()))
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        let Some(received) = read(&mut stream, &mut buffer).await? else { return Ok(()) };
        if !state.delay.is_zero() {
            tokio::time::sleep(state.delay).await;
            // Whoever was killed meanwhile has not delivered it.
            let gone = tokio::time::timeout(Duration::ZERO, stream.peek(&mut [0; 1])).await;
            if matches!(gone, Ok(Ok(0) | Err(_))) {
                return Ok(());
            }
        }
        state.count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if state.keeps {
            hold(&state.received).push(received);
        }
        let next = hold(&state.next).pop_front();
        let manner = next.unwrap_or_else(|| hold(&state.always).clone());
        match manner {
            Manner::Answer(status, headers, body) => {
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} x\r\n{headers}content-length: {length}\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await?;
            }
            Manner::Swallow => std::future::pending().await,
        }
    }
}

/// The next request; `None`: the other side has gone.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Option<Received>> {
    let mut at = None;
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let at = *at.get_or_insert_with(Instant::now);
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let mut lines = head.lines();
            let line = lines.next().unwrap_or_default().to_owned();
            let headers: Vec<_> = lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect();
            let length = headers.iter().find(|(name, _)| name == "content-length");
            let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
            if buffer.len() >= end + 4 + length {
                let body = buffer[end + 4..end + 4 + length].to_vec();
                buffer.drain(..end + 4 + length);
                return Ok(Some(Received { line, headers, body, at }));
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await? {
            0 => return Ok(None),
            count => buffer.extend_from_slice(&chunk[..count]),
        }
    }
}
