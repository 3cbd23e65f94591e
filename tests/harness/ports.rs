//! Free loopback ports. Each is locked in a file while held, so that tests in other processes, which ask
//! at the same moment, get others.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context as _, Result, bail};

/// Below Linux's range for outgoing connections, which would otherwise take a port between choice and use.
const FIRST: u16 = 12_000;
const COUNT: u16 = 18_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A reserved port. Dropped: others may have it.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// The loopback address with this port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

/// Reserves a free port.
///
/// # Errors
/// When none is left.
pub fn reserve() -> Result<Port> {
    let uid = rustix::process::geteuid().as_raw();
    let folder = std::env::temp_dir().join(format!("pytake-ports-{uid}"));
    std::fs::create_dir_all(&folder).context("cannot make the folder of port locks")?;
    // Different processes start at different places, so that they rarely try the same port.
    let start = std::process::id().wrapping_mul(97) % u32::from(COUNT);
    for _ in 0..COUNT {
        let offset = u32::from(NEXT.fetch_add(1, Ordering::Relaxed)) + start;
        let number = FIRST + u16::try_from(offset % u32::from(COUNT))?;
        if let Some(lock) = lock(folder.join(number.to_string()))? {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, number));
            if TcpListener::bind(address).is_ok() {
                return Ok(Port { number, _lock: lock });
            }
        }
    }
    bail!("no free port between {FIRST} and {}", FIRST + COUNT);
}

fn lock(path: PathBuf) -> Result<Option<File>> {
    let file = File::options().create(true).append(true).open(path)?;
    Ok(file.try_lock().is_ok().then_some(file))
}
