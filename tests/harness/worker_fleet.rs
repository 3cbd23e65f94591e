//! A fleet of workers, by default `trial-workers`, on a database of its own, with the API's view of it to enqueue by.
//!
//! Dropped: the processes are killed.

use std::time::Duration;

use domain::secret::Secret;
use sqlx::PgConnection;
use store::Store;
use tempfile::TempDir;

use crate::actor::{Actor, Canaries};
use crate::database::TestDatabase;
use crate::environment::settings_variables;
use crate::leash::{Leash, Spawn, tail};
use crate::ports::{Port, reserve};
use crate::servers::Servers;
use crate::trial_jobs;
use crate::wait::poll_async;
use crate::workspace::{program, root};

const READY_WITHIN: Duration = Duration::from_secs(30);
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// What differs from the usual.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// Which program.
    pub program: &'static str,
    /// Processes.
    pub processes: usize,
    /// Their arguments.
    pub arguments: Vec<&'static str>,
    /// Their settings.
    pub settings: Vec<(&'static str, String)>,
    /// A Postgres of its own that keeps what was committed, because the test restarts it.
    pub own_postgres: bool,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self {
            program: "trial-workers",
            processes: 1,
            arguments: Vec::new(),
            settings: Vec::new(),
            own_postgres: false,
        }
    }
}

/// The fleet.
#[derive(Debug)]
pub struct WorkerFleet {
    options: FleetOptions,
    members: Vec<Member>,
    store: Store,
    database: TestDatabase,
    home: TempDir,
    servers: &'static Servers,
}

#[derive(Debug)]
struct Member {
    leash: Leash,
    metrics: Port,
}

impl WorkerFleet {
    /// A database with the trial jobs' tables, and as many processes as are asked for, ready.
    ///
    /// # Panics
    /// When one does not become ready; the message holds the end of its log.
    pub async fn start(options: FleetOptions) -> Self {
        let servers =
            if options.own_postgres { Servers::durable().await } else { Servers::shared().await };
        let database = servers.database().await;
        trial_jobs::prepare(&mut database.connect().await).await;
        let url = Secret::new(database.url_as("pytake_api"));
        let store = Store::connect_lazy(&url, 4, ACQUIRE_TIMEOUT).expect("a store");
        let home = tempfile::Builder::new().prefix("pytake-fleet-").tempdir().expect("a folder");
        let processes = options.processes;
        let mut fleet = Self { options, members: Vec::new(), store, database, home, servers };
        for _ in 0..processes {
            fleet.add();
        }
        for index in 0..processes {
            fleet.ready(index).await;
        }
        fleet
    }

    /// One process more, ready or not.
    pub fn add(&mut self) {
        let member = self.spawn(self.members.len());
        self.members.push(member);
    }

    fn spawn(&self, index: usize) -> Member {
        let metrics = reserve().expect("a port");
        let mail = self.home.path().join("mail");
        let own = [
            ("PYTAKE_DATABASE__URL", self.database.url_as("pytake_worker")),
            ("PYTAKE_DATABASE__MAX_CONNECTIONS", "6".to_owned()),
            ("PYTAKE_REDIS__URL", self.servers.redis_url().to_owned()),
            ("PYTAKE_WORKERS__METRICS_LISTEN", metrics.address().to_string()),
            ("PYTAKE_MAIL__DIR", mail.to_string_lossy().into_owned()),
        ];
        let program = program(self.options.program).expect("built programs");
        let leash = Spawn::new(program, self.home.path().join(format!("workers-{index}.log")))
            .without(settings_variables())
            .args(self.options.arguments.clone())
            .variables(self.servers.secrets().variables())
            .variables(own)
            .variables(self.options.settings.iter().cloned())
            .in_directory(root())
            .start()
            .expect("workers start");
        Member { leash, metrics }
    }

    /// Waits until a process is ready.
    ///
    /// # Panics
    /// When it does not become so.
    pub async fn ready(&mut self, index: usize) {
        let operator = self.operator(index);
        let ready = poll_async(READY_WITHIN, async || {
            operator.try_get("/readyz").await.filter(|answer| answer.status == 200)
        });
        let ready = ready.await;
        let log = self.members[index].leash.log();
        assert!(ready.is_some(), "workers {index} do not become ready:\n{}", tail(log));
    }

    /// Whoever looks at a process' metrics and health.
    #[must_use]
    pub fn operator(&self, index: usize) -> Actor {
        let url = format!("http://{}", self.members[index].metrics.address());
        Actor::new(url, Canaries::default())
    }

    /// A process, to stop, pause or kill it.
    pub fn process(&mut self, index: usize) -> &mut Leash {
        &mut self.members[index].leash
    }

    /// Starts a process again that was stopped or killed, ready or not.
    pub fn start_again(&mut self, index: usize) {
        let member = self.spawn(index);
        self.members[index] = member;
    }

    /// What a process has logged.
    ///
    /// # Panics
    /// When its log cannot be read.
    #[must_use]
    pub fn log(&self, index: usize) -> String {
        let log = std::fs::read(self.members[index].leash.log()).expect("a log");
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Kills its own Postgres and starts it again after `pause`.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart_postgres(&self, pause: Duration) {
        self.servers.kill_postgres().await;
        tokio::time::sleep(pause).await;
        self.servers.start_postgres().await;
    }

    /// The API's view of the database: it may enqueue.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The servers behind it.
    pub(crate) const fn servers(&self) -> &'static Servers {
        self.servers
    }

    /// The database.
    #[must_use]
    pub const fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// The administrator's connection, once the database answers.
    ///
    /// # Panics
    /// When it does not in a fair time.
    pub async fn admin(&self) -> PgConnection {
        use sqlx::Connection as _;
        let url = self.database.url();
        let connected =
            poll_async(READY_WITHIN, async || PgConnection::connect(&url).await.ok()).await;
        connected.expect("the database answers")
    }
}

impl Drop for WorkerFleet {
    fn drop(&mut self) {
        for (index, member) in self.members.iter_mut().enumerate() {
            member.leash.kill();
            if std::thread::panicking() {
                show(&format!("--- workers {index}\n{}", tail(member.leash.log())));
            }
        }
        if self.options.own_postgres {
            self.servers.remove();
        }
    }
}

#[expect(clippy::print_stderr, reason = "the test runner shows it beside the failure")]
fn show(text: &str) {
    eprintln!("{text}");
}
