//! One private Postgres and Redis for a run of tests, and a migrated template that each test copies.
//!
//! `cargo dev test` starts them once and names them in a variable; a test run by hand starts its own, which
//! end with the test process. `DATABASE_URL` and `REDIS_URL` name servers to use instead.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::sync::{Mutex, OnceCell};

use crate::account::place_for_servers;
use crate::database::{Access, TestDatabase};
use crate::environment::{settings_variables, variable};
use crate::postgres::{Durability, Postgres};
use crate::redis_server::RedisServer;
use crate::secrets::{SecretFiles, random_hex, random_name};
use crate::workspace::{program, root};

/// Names the file in which `cargo dev test` describes its servers to the tests.
pub const SERVERS_VARIABLE: &str = "HARNESS_SERVERS";

/// Guards the making of the template across processes: `pg_advisory_lock` on the server's own database.
const TEMPLATE_LOCK: i64 = 0x7079_7461_6b65;
const ROLES: [&str; 4] = ["pytake_api", "pytake_worker", "pytake_edge", "pytake_operator"];

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Description {
    database_url: Option<String>,
    socket_folder: Option<String>,
    redis_url: String,
    secrets: PathBuf,
    template: String,
    role_password: Option<String>,
}

/// Servers for tests.
#[derive(Debug)]
pub struct Servers {
    description: Description,
    secrets: SecretFiles,
    place: Option<PathBuf>,
    // Dropping them stops the servers.
    postgres: Mutex<Option<Postgres>>,
    _redis: Option<RedisServer>,
}

impl Servers {
    /// The run's servers: started by the first who asks; they end with this process.
    ///
    /// # Panics
    /// When they do not start.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Servers> = OnceCell::const_new();
        let start = async || match variable(SERVERS_VARIABLE) {
            Some(path) => Self::described_in(Path::new(&path)),
            None => Self::start().await,
        };
        SHARED.get_or_init(async || start().await.expect("servers for the tests")).await
    }

    /// Starts private servers, or takes those that `DATABASE_URL` and `REDIS_URL` name.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn start() -> Result<Self> {
        let temporary = tempfile::Builder::new().prefix("pytake-test-").tempdir()?.keep();
        let place = place_for_servers(&temporary)?;
        let started = Self::start_in(place.clone()).await;
        if started.is_err() {
            // What the error quotes of the logs is all that is left.
            let _ = std::fs::remove_dir_all(&place);
        }
        started
    }

    /// Private servers for one test that kills Postgres: what was committed is kept. Until [`Self::remove`].
    ///
    /// # Panics
    /// When they do not start.
    pub(crate) async fn durable() -> &'static Self {
        let temporary = tempfile::Builder::new().prefix("pytake-test-").tempdir();
        let place = place_for_servers(&temporary.expect("a folder").keep()).expect("a place");
        let secrets = SecretFiles::ensure(&place.join("secrets")).expect("key files");
        let redis = RedisServer::start(&place, &place.join("redis.log")).expect("Redis");
        let postgres = Postgres::start(&place, &place.join("postgres.log"), Durability::Kept).await;
        let description = Description {
            database_url: None,
            socket_folder: Some(place.join("run").to_string_lossy().into_owned()),
            redis_url: redis.url(),
            secrets: place.join("secrets"),
            template: format!("template_{}", random_name()),
            role_password: None,
        };
        let postgres = Mutex::new(Some(postgres.expect("Postgres")));
        let place = Some(place);
        Box::leak(Box::new(Self { description, secrets, place, postgres, _redis: Some(redis) }))
    }

    /// Kills the private Postgres, as `kill -9` of all of it would.
    pub(crate) async fn kill_postgres(&self) {
        if let Some(mut postgres) = self.postgres.lock().await.take() {
            postgres.leash().kill();
        }
    }

    /// Starts it again.
    ///
    /// # Panics
    /// When it does not start.
    pub(crate) async fn start_postgres(&self) {
        let place = self.place.as_ref().expect("private servers");
        let log = place.join("postgres.log");
        let mut started = Postgres::start(place, &log, Durability::Kept).await;
        for _ in 0..50 {
            // What is left of the killed one may hold its memory for a moment.
            if started.is_ok() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            started = Postgres::start(place, &log, Durability::Kept).await;
        }
        *self.postgres.lock().await = Some(started.expect("Postgres starts again"));
    }

    /// Stops private servers for good, and removes what they kept.
    pub(crate) fn remove(&self) {
        if let Ok(mut postgres) = self.postgres.try_lock() {
            drop(postgres.take());
        }
        if let Some(place) = &self.place {
            // Left in the folder for temporary files at worst.
            let _ = std::fs::remove_dir_all(place);
        }
    }

    async fn start_in(place: PathBuf) -> Result<Self> {
        let log = |name: &str| place.join(name);
        let secrets = SecretFiles::ensure(&place.join("secrets"))?;
        let redis = match variable("REDIS_URL") {
            Some(_) => None,
            None => Some(RedisServer::start(&place, &log("redis.log"))?),
        };
        let postgres = match variable("DATABASE_URL") {
            Some(_) => None,
            None => Some(Postgres::start(&place, &log("postgres.log"), Durability::Scratch).await?),
        };
        let (socket_folder, role_password) = match &postgres {
            Some(_) => (Some(place.join("run").to_string_lossy().into_owned()), None),
            None => (None, Some(random_hex())),
        };
        let description = Description {
            database_url: variable("DATABASE_URL"),
            socket_folder,
            redis_url: redis
                .as_ref()
                .map(RedisServer::url)
                .or(variable("REDIS_URL"))
                .unwrap_or_default(),
            secrets: place.join("secrets"),
            template: format!("template_{}", random_name()),
            role_password,
        };
        let postgres = Mutex::new(postgres);
        Ok(Self { description, secrets, place: Some(place), postgres, _redis: redis })
    }

    fn described_in(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {} (from {SERVERS_VARIABLE})", path.display()))?;
        let description: Description = serde_json::from_str(&text)?;
        let secrets = SecretFiles::ensure(&description.secrets)?;
        Ok(Self { description, secrets, place: None, postgres: Mutex::new(None), _redis: None })
    }

    /// Writes what tests in other processes need to use these servers, and says where.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn describe(&self) -> Result<PathBuf> {
        let place = self.place.as_ref().context("these servers are described elsewhere")?;
        let path = place.join("servers.json");
        std::fs::write(&path, serde_json::to_string(&self.description)?)?;
        Ok(path)
    }

    fn access(&self) -> Access {
        let given = &self.description;
        match (&given.socket_folder, &given.database_url) {
            (Some(folder), _) => Access::by_socket(Path::new(folder), "postgres"),
            (None, url) => Access::Given(url.clone().unwrap_or_default()),
        }
    }

    /// Where Redis is.
    #[must_use]
    pub fn redis_url(&self) -> &str {
        &self.description.redis_url
    }

    /// The run's key files.
    #[must_use]
    pub const fn secrets(&self) -> &SecretFiles {
        &self.secrets
    }

    /// A migrated database of its own for one test.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn database(&self) -> TestDatabase {
        let template = self.template().await.expect("a migrated template");
        let password = self.description.role_password.clone();
        TestDatabase::create(self.access(), template, password).await.expect("a test's database")
    }

    /// The migrated template, made by whoever needs it first.
    async fn template(&self) -> Result<&str> {
        let name = &self.description.template;
        let mut connection = self.access().administrate().await?;
        // Released when the connection closes.
        sqlx::query("SELECT pg_advisory_lock($1)")
            .bind(TEMPLATE_LOCK)
            .execute(&mut connection)
            .await?;
        let made: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
                .bind(name)
                .fetch_one(&mut connection)
                .await?;
        if !made {
            // Under its final name only when it is complete.
            let half = format!("{name}_half");
            connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {half}"))).await?;
            migrate(&self.access().url(&half), &self.secrets)?;
            if let Some(password) = &self.description.role_password {
                set_role_passwords(&mut connection, password).await?;
            }
            let rename = format!("ALTER DATABASE {half} RENAME TO {name}");
            connection.execute(sqlx::AssertSqlSafe(rename)).await?;
        }
        connection.close().await?;
        Ok(name)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let Some(place) = self.place.clone() else { return };
        if self.postgres.get_mut().is_none() {
            let (access, template) = (self.access(), self.description.template.clone());
            let dropping = std::thread::spawn(move || drop_template(&access, &template));
            // A template left in a server that we were given is worth no failure.
            let _ = dropping.join();
            let _ = std::fs::remove_dir_all(place);
        }
    }
}

fn drop_template(access: &Access, template: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = access.administrate().await?;
        let statement = format!("DROP DATABASE IF EXISTS {template} WITH (FORCE)");
        connection.execute(sqlx::AssertSqlSafe(statement)).await?;
        Ok(())
    })
}

/// Gives the application roles a password, on a server that wants one.
async fn set_role_passwords(connection: &mut PgConnection, password: &str) -> Result<()> {
    for role in ROLES {
        let statement = format!("ALTER ROLE {role} PASSWORD '{password}'");
        connection.execute(sqlx::AssertSqlSafe(statement)).await?;
    }
    Ok(())
}

fn migrate(url: &str, secrets: &SecretFiles) -> Result<()> {
    let mut command = Command::new(program("pytake-api")?);
    command.arg("migrate").current_dir(root());
    for name in settings_variables() {
        command.env_remove(name);
    }
    let output = command.env("PYTAKE_DATABASE__URL", url).envs(secrets.variables()).output()?;
    if !output.status.success() {
        bail!("`pytake-api migrate` failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
