//! What is where under `.dev/`: everything that `up` makes, and nothing else.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use harness::{place_for_servers, root};

/// The folder `.dev/`.
#[derive(Debug, Clone)]
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Result<Self> {
        let folder = root().join(".dev");
        for below in ["log", "mail"] {
            std::fs::create_dir_all(folder.join(below))
                .with_context(|| format!("cannot write under {}", folder.display()))?;
        }
        Ok(Self(folder))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// What a detached `up` says. Not among the logs: `--fresh` empties those while this is being written.
    pub(crate) fn up_log(&self) -> PathBuf {
        self.0.join("up.log")
    }

    pub(crate) fn secrets(&self) -> PathBuf {
        self.0.join("secrets")
    }

    pub(crate) fn mail(&self) -> PathBuf {
        self.0.join("mail")
    }

    /// For scripts: addresses and URLs of what runs.
    pub(crate) fn env(&self) -> PathBuf {
        self.0.join("env")
    }

    /// The demo tenant's credentials.
    pub(crate) fn demo(&self) -> PathBuf {
        self.0.join("demo")
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.0.join("log").join(format!("{name}.log"))
    }

    /// Where the edge of this name keeps its policy.
    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.states().join(name)
    }

    fn states(&self) -> PathBuf {
        self.0.join("state")
    }

    /// Holds the id of the process that keeps everything running.
    pub(crate) fn pid(&self) -> PathBuf {
        self.0.join("up.pid")
    }

    /// There once everything is ready, until it stops.
    pub(crate) fn ready(&self) -> PathBuf {
        self.0.join("ready")
    }

    /// Locked by the process that keeps everything running, so that a stale pid file misleads nobody.
    pub(crate) fn lock(&self) -> Result<File> {
        let path = self.0.join("up.lock");
        let file = File::options().create(true).append(true).open(&path);
        file.with_context(|| format!("cannot write {}", path.display()))
    }

    /// Where the private servers keep their data: below `.dev/`, or where Postgres' account can reach.
    pub(crate) fn servers(&self) -> Result<PathBuf> {
        let note = self.0.join("servers.elsewhere");
        if let Ok(elsewhere) = std::fs::read_to_string(&note) {
            let elsewhere = PathBuf::from(elsewhere.trim());
            if elsewhere.is_dir() {
                return Ok(elsewhere);
            }
        }
        let wanted = self.0.join("servers");
        let place = place_for_servers(&wanted)?;
        if place != wanted {
            std::fs::write(&note, place.to_string_lossy().as_bytes())?;
        }
        Ok(place)
    }

    /// Forgets all data; key files and logs go too. The wheels stay: they are no data.
    pub(crate) fn forget(&self) -> Result<()> {
        let servers = self.servers()?;
        let rest = [self.secrets(), self.mail(), self.states()];
        let more = [self.0.join("log"), self.0.join("servers")];
        for folder in rest.iter().chain(&more).chain([&servers]) {
            match std::fs::remove_dir_all(folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error)
                        .with_context(|| format!("cannot empty {}", folder.display()));
                }
                _ => {}
            }
        }
        for file in [self.env(), self.demo(), self.0.join("servers.elsewhere")] {
            // Not there is as good.
            let _ = std::fs::remove_file(file);
        }
        Self::new().map(|_| ())
    }
}
