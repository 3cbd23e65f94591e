//! A private Redis or Valkey on a Unix socket, without persistence: it holds nothing that may not be lost.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::leash::{Leash, Spawn, tail};
use crate::programs::find_redis;
use crate::wait::poll;

const STARTED_WITHIN: Duration = Duration::from_secs(10);
const STOPPED_WITHIN: Duration = Duration::from_secs(5);

/// A running private server. Dropped: stopped at once.
#[derive(Debug)]
pub struct RedisServer {
    leash: Leash,
    socket: PathBuf,
}

impl RedisServer {
    /// Starts a server whose socket is in `place`.
    ///
    /// # Errors
    /// When none is installed or it does not start.
    pub fn start(place: &Path, log: &Path) -> Result<Self> {
        let socket = place.join("redis.sock");
        // One that a crash left behind would look like an answer.
        let _ = std::fs::remove_file(&socket);
        let leash = Spawn::new(find_redis()?, log)
            .args(["--port", "0", "--unixsocketperm", "700", "--save", "", "--appendonly", "no"])
            .args(["--unixsocket".into(), socket.clone().into_os_string()])
            .args(["--dir".into(), place.as_os_str().to_owned()])
            .start()?;
        let mut server = Self { leash, socket };
        let ready = poll(STARTED_WITHIN, || match UnixStream::connect(&server.socket) {
            Ok(_) => Some(true),
            Err(_) => server.leash.ended().map(|_| false),
        });
        if ready != Some(true) {
            bail!("Redis does not start:\n{}", tail(server.leash.log()));
        }
        Ok(server)
    }

    /// How to reach it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket.display())
    }

    /// The process, to see whether it still runs, or to pause or kill it.
    pub const fn leash(&mut self) -> &mut Leash {
        &mut self.leash
    }

    /// Stops it and waits.
    pub fn stop(&mut self) {
        self.leash.stop(STOPPED_WITHIN);
    }
}
