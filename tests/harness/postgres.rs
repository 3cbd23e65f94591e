//! A private Postgres: reached by a Unix socket in a folder that nobody else may enter, so that no port is
//! taken and no password is needed.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use sqlx::{Connection as _, PgConnection};

use crate::account::Account;
use crate::database::Access;
use crate::leash::{Leash, Spawn, tail};
use crate::programs::PostgresPrograms;
use crate::wait::poll_async;

/// The login that owns the private server.
const ADMIN: &str = "postgres";
const STARTED_WITHIN: Duration = Duration::from_secs(30);
const STOPPED_WITHIN: Duration = Duration::from_secs(20);

/// Whether data must survive a crash of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As Postgres comes.
    Kept,
    /// Without fsync: for data that is thrown away.
    Scratch,
}

/// A running private server. Dropped: stopped at once.
#[derive(Debug)]
pub struct Postgres {
    leash: Leash,
    sockets: PathBuf,
}

impl Postgres {
    /// Starts a server in `place`, making its data folder the first time.
    ///
    /// # Errors
    /// When no usable version is installed, or it does not start; the message holds the end of its log.
    pub async fn start(place: &Path, log: &Path, durability: Durability) -> Result<Self> {
        let data = place.join("data");
        let made_by = std::fs::read_to_string(data.join("PG_VERSION")).ok();
        let made_by = made_by.and_then(|text| text.trim().parse().ok());
        let programs = PostgresPrograms::find(made_by)?;
        let account = Account::for_postgres()?;
        let prefix = account.as_ref().map(Account::prefix).unwrap_or_default();
        match made_by {
            Some(version) if version != programs.major() => bail!(
                "{} was made by Postgres {version}, but the server found is {}; start over with --fresh",
                data.display(),
                programs.major()
            ),
            Some(_) => {}
            None => initialize(&programs, &prefix, &data, log)?,
        }
        let sockets = place.join("run");
        std::fs::create_dir_all(&sockets)?;
        std::fs::set_permissions(&sockets, std::fs::Permissions::from_mode(0o700))?;
        if let Some(account) = &account {
            account.own(&sockets)?;
        }
        let mut spawn = Spawn::new(programs.program("postgres"), log)
            .args([
                "-D".into(),
                data.into_os_string(),
                "-k".into(),
                sockets.clone().into_os_string(),
            ])
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "max_connections=400",
                "-c",
                "log_timezone=UTC",
            ])
            .stopped_by("INT");
        if durability == Durability::Scratch {
            spawn = spawn
                .args([
                    "-c",
                    "fsync=off",
                    "-c",
                    "synchronous_commit=off",
                    "-c",
                    "full_page_writes=off",
                ])
                .stopped_by("QUIT")
                .removing(place);
        }
        let mut server = Self { leash: spawn.prefixed(prefix).start()?, sockets };
        server.wait_until_ready().await?;
        Ok(server)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let access = self.access();
        let url = access.url("postgres");
        let ready = async || PgConnection::connect(&url).await.ok();
        let leash = &mut self.leash;
        let outcome = poll_async(STARTED_WITHIN, || {
            let ended = leash.ended().is_some();
            let attempt = ready();
            async move { if ended { Some(None) } else { attempt.await.map(Some) } }
        });
        match outcome.await {
            Some(Some(_)) => Ok(()),
            _ => bail!("Postgres does not start:\n{}", tail(self.leash.log())),
        }
    }

    /// How to reach it, as its owner.
    #[must_use]
    pub fn access(&self) -> Access {
        Access::by_socket(&self.sockets, ADMIN)
    }

    /// The process, to see whether it still runs.
    pub const fn leash(&mut self) -> &mut Leash {
        &mut self.leash
    }

    /// Stops it and waits.
    pub fn stop(&mut self) {
        self.leash.stop(STOPPED_WITHIN);
    }
}

fn initialize(
    programs: &PostgresPrograms,
    prefix: &[OsString],
    data: &Path,
    log: &Path,
) -> Result<()> {
    let mut line: Vec<OsString> = prefix.to_vec();
    line.push(programs.program("initdb").into_os_string());
    line.extend(["-D".into(), data.as_os_str().to_owned()]);
    line.extend(
        ["-U", ADMIN, "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync"].map(OsString::from),
    );
    let output = Command::new(&line[0])
        .args(&line[1..])
        .output()
        .with_context(|| format!("cannot run {}", line[0].display()))?;
    if !output.status.success() {
        std::fs::write(log, [output.stdout, output.stderr].concat())?;
        bail!("initdb failed:\n{}", tail(log));
    }
    Ok(())
}
