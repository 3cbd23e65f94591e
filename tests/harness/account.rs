//! Postgres refuses to run as root, so root lends it another account, and a place that account can reach.

use std::ffi::OsString;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Longest path of a Unix socket, in bytes (`sun_path`, less the closing zero).
const SOCKET_PATH_BYTES_MAX: usize = 107;
const SOCKET_NAME: &str = "run/.s.PGSQL.5432";

/// Who runs Postgres instead of root.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// `None`: run as ourselves, because we are not root.
    pub(crate) fn for_postgres() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let accounts = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        let found = ["postgres", "nobody"].iter().find_map(|name| find(&accounts, name));
        let Some(account) = found else {
            bail!(
                "Postgres refuses to run as root, and there is no account `postgres` or `nobody`"
            );
        };
        Ok(Some(account))
    }

    /// What to put before a command so that it runs as this account.
    pub(crate) fn prefix(&self) -> Vec<OsString> {
        let (uid, gid) = (self.uid, self.gid);
        ["setpriv", &format!("--reuid={uid}"), &format!("--regid={gid}"), "--clear-groups", "--"]
            .map(OsString::from)
            .to_vec()
    }

    /// Gives `folder` to the account.
    pub(crate) fn own(&self, folder: &Path) -> Result<()> {
        chown(folder, Some(self.uid), Some(self.gid))
            .with_context(|| format!("cannot give {} to Postgres' account", folder.display()))
    }

    fn reaches(&self, folder: &Path) -> Result<bool> {
        let prefix = self.prefix();
        let status = Command::new(&prefix[0])
            .args(&prefix[1..])
            .args(["test", "-w"])
            .arg(folder)
            .stderr(Stdio::null())
            .status()
            .context(
                "cannot run `setpriv` (package util-linux), needed to start Postgres as root",
            )?;
        Ok(status.success())
    }
}

fn find(accounts: &str, name: &str) -> Option<Account> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let matches = fields.next() == Some(name);
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        matches.then_some(Account { uid, gid })
    })
}

/// A folder for a private server's data and sockets: `wanted`, or a new one in the system's temporary
/// folder where `wanted` is out of reach for Postgres' account or too long for a socket's path.
///
/// # Errors
/// When neither can be made.
pub fn place_for_servers(wanted: &Path) -> Result<PathBuf> {
    let account = Account::for_postgres()?;
    std::fs::create_dir_all(wanted)
        .with_context(|| format!("cannot make the folder {}", wanted.display()))?;
    let short = wanted.join(SOCKET_NAME).as_os_str().len() <= SOCKET_PATH_BYTES_MAX;
    let place = match &account {
        _ if !short => None,
        None => Some(wanted.to_owned()),
        Some(account) => {
            account.own(wanted)?;
            account.reaches(wanted)?.then(|| wanted.to_owned())
        }
    };
    if let Some(place) = place {
        return Ok(place);
    }
    let made = tempfile::Builder::new().prefix("pytake-").tempdir()?.keep();
    if let Some(account) = &account {
        account.own(&made)?;
    }
    std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o700))?;
    Ok(made)
}
