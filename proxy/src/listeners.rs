//! Addresses to listen on, tried before anything starts: pingora would retry a taken one and then panic.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::net::TcpStream;
use tokio::time::sleep;

const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// An address cannot be had.
#[derive(Debug)]
pub(crate) struct Taken {
    address: SocketAddr,
    source: std::io::Error,
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { address, source } = self;
        match source.kind() {
            ErrorKind::AddrInUse => {
                write!(
                    f,
                    "cannot listen on {address}: another process does; stop it or choose another port"
                )
            }
            ErrorKind::PermissionDenied => {
                write!(f, "cannot listen on {address}: not permitted; choose a port above 1023")
            }
            _ => write!(f, "cannot listen on {address}: {source}"),
        }
    }
}

impl std::error::Error for Taken {}

/// The addresses of `wanted` that can be listened on, with real ports instead of 0. An IPv6 address on a
/// machine without IPv6 is left out, if another remains.
pub(crate) fn available(wanted: &[SocketAddr]) -> Result<Vec<SocketAddr>, Taken> {
    let mut found = Vec::new();
    let mut without_ipv6 = None;
    for address in wanted {
        match TcpListener::bind(address).and_then(|listener| listener.local_addr()) {
            Ok(bound) => found.push(bound),
            Err(source) => {
                let refused =
                    matches!(source.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied);
                let fault = Taken { address: *address, source };
                if refused || address.is_ipv4() {
                    return Err(fault);
                }
                without_ipv6 = Some(fault);
            }
        }
    }
    match without_ipv6 {
        Some(fault) if found.is_empty() => Err(fault),
        Some(fault) => {
            tracing::info!("not listening on {}: {}", fault.address, fault.source);
            Ok(found)
        }
        None => Ok(found),
    }
}

/// Whether the public listeners take connections yet: pingora starts its services in no promised order, and an
/// edge that is called ready too early would be sent requests that nobody takes.
#[derive(Debug)]
pub(crate) struct Opening {
    addresses: Vec<SocketAddr>,
    open: AtomicBool,
}

impl Opening {
    pub(crate) const fn of(addresses: Vec<SocketAddr>) -> Self {
        Self { addresses, open: AtomicBool::new(false) }
    }

    /// Whether all of them take connections.
    pub(crate) fn is_over(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl BackgroundService for Opening {
    async fn start(&self, _shutdown: ShutdownWatch) {
        for address in &self.addresses {
            while TcpStream::connect(address).await.is_err() {
                sleep(LOOK_INTERVAL).await;
            }
        }
        self.open.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_zero_becomes_a_real_one_and_a_taken_one_is_named() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        assert_ne!(available(&[any]).unwrap()[0].port(), 0);
        let holder = TcpListener::bind(any).unwrap();
        let address = holder.local_addr().unwrap();
        let message = available(&[address]).unwrap_err().to_string();
        assert!(message.contains(&address.to_string()), "{message}");
    }
}
