//! Addresses to listen on, tried before anything starts: pingora would retry a taken one and then panic.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

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
