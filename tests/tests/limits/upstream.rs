//! The application behind the edges: answers at once, or when it is told to.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An application. Requests for `/hold` wait until they are released.
pub(crate) struct Upstream {
    address: SocketAddr,
    released: Arc<watch::Sender<bool>>,
    holding: Arc<watch::Sender<usize>>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("its address");
        let released = Arc::new(watch::Sender::new(false));
        let holding = Arc::new(watch::Sender::new(0));
        let (open, held) = (Arc::clone(&released), Arc::clone(&holding));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, open.subscribe(), Arc::clone(&held)));
            }
        });
        Self { address, released, holding }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests that came to be held.
    pub(crate) fn held(&self) -> usize {
        *self.holding.borrow()
    }

    /// Answers what is held, and what comes.
    pub(crate) fn release(&self) {
        self.released.send_replace(true);
    }
}

async fn serve(
    mut stream: TcpStream,
    mut released: watch::Receiver<bool>,
    holding: Arc<watch::Sender<usize>>,
) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        request.extend_from_slice(&buffer[..read]);
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        if request.starts_with(b"GET /hold") {
            holding.send_modify(|held| *held += 1);
            if released.wait_for(|released| *released).await.is_err() {
                return;
            }
        }
        request.clear();
        if stream.write_all(ANSWER).await.is_err() {
            return;
        }
    }
}
