//! Raw servers, lying name servers, and clients for them.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as Decoy};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::destination::DestinationPolicy;
use http::HeaderMap;
use outbound::{Answer, Client, Config, Failure, LookUp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What the policy of these tests allows.
pub(crate) const ALLOWED: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// What it does not.
pub(crate) const FORBIDDEN: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// For what should come; only a failing test waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The whole exchange, where it is to end by time.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

/// A policy that allows one address, and else what the default does.
pub(crate) fn policy() -> DestinationPolicy {
    DestinationPolicy { allowed_networks: vec![ALLOWED.into()], ..DestinationPolicy::default() }
}

/// With time enough for any machine.
pub(crate) fn config(policy: DestinationPolicy) -> Config {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = Config::new(policy, "pytake-test".into());
    (config.timeout, config.connect_timeout) = (PATIENCE, PATIENCE);
    config
}

/// A client with the test's policy, for addresses in URLs.
pub(crate) fn client() -> Client {
    Client::new(config(policy())).unwrap()
}

/// As [`client`], out of patience soon.
pub(crate) fn impatient() -> Client {
    Client::new(Config { timeout: SHORT, ..config(policy()) }).unwrap()
}

/// Posts two bytes.
pub(crate) async fn post(client: &Client, url: &str) -> Result<Answer, Failure> {
    send(client, url, Bytes::from_static(b"{}")).await
}

/// Posts `body`. Panics where the client's own bounds fail, instead of waiting for ever.
pub(crate) async fn send(client: &Client, url: &str, body: Bytes) -> Result<Answer, Failure> {
    let destination = url.parse().unwrap();
    let call = client.post(&destination, HeaderMap::new(), body);
    tokio::time::timeout(2 * PATIENCE, call).await.expect("the call is not bounded")
}

/// The stable word for how a call failed.
pub(crate) fn code(result: Result<Answer, Failure>) -> &'static str {
    result.as_ref().expect_err("no answer may come").code()
}

/// A server of one behaviour; stops when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    ended: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves every connection to [`ALLOWED`] by `serve`, each in a task.
    pub(crate) async fn start<S, F>(serve: S) -> Self
    where
        S: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind((ALLOWED, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let ended = Arc::new(Notify::new());
        let (count, end) = (connections.clone(), ended.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (serving, end) = (serve(stream), end.clone());
                tokio::spawn(async move {
                    // Failing to write to who has gone is what most of these servers end by.
                    let _ = serving.await;
                    end.notify_one();
                });
            }
        });
        Self { address, connections, ended, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Returns when a connection has ended.
    pub(crate) async fn connection_ended(&self) {
        tokio::time::timeout(PATIENCE, self.ended.notified())
            .await
            .expect("the connection was not dropped");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads one request with its body; the head comes back. An error when the client has gone.
pub(crate) async fn request(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    stream.read_exact(&mut vec![0; length]).await?;
    Ok(head)
}

/// Answers every request of a connection with an empty 200.
pub(crate) async fn good(mut stream: TcpStream) -> io::Result<()> {
    loop {
        request(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
    }
}

/// Listens where nobody may come. Its backlog takes connections without anyone accepting, so none is missed.
pub(crate) fn decoy(address: impl Into<SocketAddr>) -> Decoy {
    let decoy = Decoy::bind(address.into()).unwrap();
    decoy.set_nonblocking(true).unwrap();
    decoy
}

/// Whether nobody came.
pub(crate) fn untouched(decoy: &Decoy) -> bool {
    matches!(decoy.accept(), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// A name server with a list of answers, one a look-up; the last one stays.
pub(crate) struct Lies {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Lies {
    pub(crate) fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
        let answers = Mutex::new(answers.iter().map(parse).collect());
        Arc::new(Self { answers, asked: AtomicUsize::new(0) })
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl LookUp for Lies {
    async fn look_up(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = answers.pop_front().ok_or(io::ErrorKind::NotFound)?;
        if answers.is_empty() {
            answers.push_back(answer.clone());
        }
        Ok(answer)
    }
}

/// A name server that never answers.
pub(crate) struct Silence;

#[async_trait]
impl LookUp for Silence {
    async fn look_up(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
        std::future::pending().await
    }
}
