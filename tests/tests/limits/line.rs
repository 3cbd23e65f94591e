//! The way from one edge to Redis: a socket that forwards to the real one, late, not at all, or elsewhere.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use harness::{Port, reserve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// How answers travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    /// The server's socket.
    pub(crate) to: PathBuf,
    /// By how much every answer is delayed.
    pub(crate) delay: Duration,
    /// Connections are taken and nothing is said.
    pub(crate) stalled: bool,
}

/// A line to Redis.
pub(crate) struct Line {
    way: Arc<watch::Sender<Way>>,
    port: Port,
    forwarding: AbortHandle,
    connections: Arc<Mutex<JoinSet<()>>>,
}

impl Line {
    pub(crate) async fn lay(to: &Path) -> Self {
        let port = reserve().expect("a port");
        let way = Way { to: to.to_owned(), delay: Duration::ZERO, stalled: false };
        let way = Arc::new(watch::Sender::new(way));
        let connections = Arc::new(Mutex::new(JoinSet::new()));
        let listener = TcpListener::bind(port.address()).await.expect("a listener");
        let forwarding =
            tokio::spawn(forward_all(listener, Arc::clone(&way), Arc::clone(&connections)));
        Self { way, port, forwarding: forwarding.abort_handle(), connections }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    pub(crate) fn delay(&self, delay: Duration) {
        self.way.send_modify(|way| way.delay = delay);
    }

    pub(crate) fn stall(&self, stalled: bool) {
        self.way.send_modify(|way| way.stalled = stalled);
    }

    /// Leads elsewhere, as after a failover: what was connected is not any more.
    pub(crate) fn lead_to(&self, to: &Path) {
        self.way.send_modify(|way| to.clone_into(&mut way.to));
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.forwarding.abort();
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

async fn forward_all(
    listener: TcpListener,
    way: Arc<watch::Sender<Way>>,
    connections: Arc<Mutex<JoinSet<()>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let way = way.subscribe();
        connections.lock().unwrap_or_else(PoisonError::into_inner).spawn(forward(stream, way));
    }
}

/// Ends when either side does; dropped, both are closed.
async fn forward(stream: TcpStream, way: watch::Receiver<Way>) {
    let to = way.borrow().to.clone();
    let Ok(server) = UnixStream::connect(to).await else { return };
    let _ = stream.set_nodelay(true);
    let (from_edge, to_edge) = stream.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = carry(from_edge, to_server, None) => {}
        () = carry(from_server, to_edge, Some(way)) => {}
    }
}

async fn carry(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    way: Option<watch::Receiver<Way>>,
) {
    let mut buffer = vec![0; 65_536];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        if let Some(mut way) = way.clone() {
            if way.wait_for(|way| !way.stalled).await.is_err() {
                return;
            }
            let delay = way.borrow().delay;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
