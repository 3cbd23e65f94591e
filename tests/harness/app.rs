//! The three programs on free ports, with a database, secrets and a mailbox of their own.
//!
//! Dropped: the programs are killed, and the test fails if a job was left undone, a program panicked or
//! logged an error, or a secret that was seen in traffic is in a log.

mod checks;
mod launch;

use domain::clock::{Clock as _, SystemClock};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use credentials::edge_context::PoolKey;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::actor::{Actor, Canaries, Owner};
use crate::cable::Cable;
use crate::database::TestDatabase;
use crate::environment::settings_variables;
use crate::leash::Leash;
use crate::mailbox::Mailbox;
use crate::ports::{Port, reserve};
use crate::redis_server::RedisServer;
use crate::servers::Servers;
use crate::workspace::{program, root};

/// Of each program's log, when a test fails.
const LOG_LINES_SHOWN: usize = 40;

/// Of everybody in the tests.
pub const PASSWORD: &str = "correct horse battery staple 7";

/// The name under which a second edge runs.
pub const SECOND_EDGE: &str = "pytake-proxy-2";

/// The name under which second workers run.
pub const SECOND_WORKERS: &str = "pytake-workers-2";

/// What differs from the usual.
#[derive(Debug, Clone, Default)]
pub struct AppOptions {
    /// Settings of all programs, e.g. `("PYTAKE_API__ACCESS_TOKEN_SECONDS", "1")`.
    pub settings: Vec<(&'static str, String)>,
    /// The test makes a program log errors.
    pub errors_expected: bool,
    /// The test leaves jobs undone.
    pub jobs_may_remain: bool,
    /// A Redis of its own, because the test kills it.
    pub own_redis: bool,
    /// A cable to Postgres of its own, because the test cuts it.
    pub own_cable: bool,
    /// A Postgres of its own that keeps what was committed, because the test kills it.
    pub own_postgres: bool,
}

/// One of the three programs.
#[derive(Debug)]
struct Running {
    name: &'static str,
    leash: Leash,
    metrics: Port,
}

/// A whole installation.
#[derive(Debug)]
pub struct App {
    options: AppOptions,
    programs: Vec<Running>,
    /// Of the edge, the API and the operators' listener.
    ports: [Port; 3],
    second_edge: Option<Port>,
    home: TempDir,
    canaries: Canaries,
    client: Actor,
    database: TestDatabase,
    redis: Option<RedisServer>,
    cable: Option<Cable>,
    servers: &'static Servers,
}

impl App {
    /// Starts the three programs and waits until they are ready.
    ///
    /// # Panics
    /// When one does not become ready; the message holds the end of its log.
    pub async fn start() -> Self {
        Self::start_with(AppOptions::default()).await
    }

    /// As [`Self::start`], with other settings.
    ///
    /// # Panics
    /// When a program does not become ready.
    pub async fn start_with(options: AppOptions) -> Self {
        let servers =
            if options.own_postgres { Servers::durable().await } else { Servers::shared().await };
        let database = servers.database().await;
        let home = tempfile::Builder::new().prefix("pytake-app-").tempdir().expect("a folder");
        let ports = [(); 3].map(|()| reserve().expect("a port"));
        let canaries = Canaries::default();
        servers.secrets().canaries().iter().for_each(|secret| canaries.plant(secret));
        let client = Actor::new(format!("http://{}", ports[0].address()), canaries.clone());
        let mut app = Self {
            options,
            programs: Vec::new(),
            ports,
            second_edge: None,
            home,
            canaries,
            client,
            database,
            redis: None,
            cable: None,
            servers,
        };
        if app.options.own_redis {
            app.start_redis();
        }
        if app.options.own_cable {
            app.cable = Some(Cable::lay(&app.home.path().join("cable"), app.database.access()));
        }
        for name in ["pytake-api", "pytake-workers", "pytake-proxy"] {
            app.run(name);
        }
        app.wait_until_ready().await;
        app
    }

    /// Where its Redis is.
    #[must_use]
    pub fn redis_url(&self) -> String {
        let own = self.redis.as_ref().map(RedisServer::url);
        own.unwrap_or_else(|| self.servers.redis_url().to_owned())
    }

    /// Starts the Redis of the test's own, the first time or again.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_redis(&mut self) {
        drop(self.redis.take());
        let server = RedisServer::start(self.home.path(), &self.log("redis"));
        self.redis = Some(server.expect("a Redis of the test's own"));
    }

    /// Cuts the programs off from Postgres.
    pub fn cut_off_postgres(&mut self) {
        if let Some(cable) = &mut self.cable {
            cable.cut();
        }
    }

    /// Lets the programs reach Postgres again.
    pub fn reconnect_postgres(&mut self) {
        if let Some(cable) = &mut self.cable {
            cable.mend();
        }
    }

    /// Kills the Redis of the test's own.
    pub fn kill_redis(&mut self) {
        if let Some(redis) = &mut self.redis {
            redis.leash().kill();
        }
    }

    /// Kills the Postgres of the test's own.
    pub async fn kill_postgres(&self) {
        self.servers.kill_postgres().await;
    }

    /// Starts the Postgres of the test's own again.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_postgres(&self) {
        self.servers.start_postgres().await;
    }

    /// The edge's address, e.g. `http://127.0.0.1:12345`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.ports[0].address())
    }

    /// The API's own address, which nobody but the edge should use.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://{}", self.ports[1].address())
    }

    /// The operators' listener's address.
    #[must_use]
    pub fn operator_url(&self) -> String {
        format!("http://{}", self.ports[2].address())
    }

    /// An operator with a new key.
    ///
    /// # Panics
    /// When none can be made.
    #[must_use]
    pub fn operator(&self) -> Actor {
        let printed = self.command("pytake-api", &["operator-credential", "create", "test"]);
        let key = printed.lines().next_back().expect("a key");
        self.canaries.plant(key);
        self.client.calling(&self.operator_url()).bearing(key)
    }

    /// Where `/metrics`, `/healthz` and `/readyz` of a program are.
    ///
    /// # Panics
    /// When there is no such program.
    #[must_use]
    pub fn metrics_url(&self, name: &str) -> String {
        let running = self.programs.iter().find(|running| running.name == name);
        format!("http://{}", running.expect("one of the three programs").metrics.address())
    }

    /// A running program, to stop, pause or kill it.
    ///
    /// # Panics
    /// When there is no such program.
    pub fn process(&mut self, name: &str) -> &mut Leash {
        let running = self.programs.iter_mut().find(|running| running.name == name);
        &mut running.expect("one of the three programs").leash
    }

    /// Starts a stopped program again and waits until all are ready.
    ///
    /// # Panics
    /// When one does not become ready.
    pub async fn restart(&mut self, name: &'static str) {
        self.programs.retain(|running| running.name != name);
        self.run(name);
        self.wait_until_ready().await;
    }

    /// Waits until all programs are ready.
    ///
    /// # Panics
    /// When one does not become ready.
    pub async fn ready(&mut self) {
        self.wait_until_ready().await;
    }

    /// Starts a stopped program again, ready or not.
    pub fn start_again(&mut self, name: &'static str) {
        self.programs.retain(|running| running.name != name);
        self.run(name);
    }

    /// Starts a second edge beside the first and answers where it is, once it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn another_edge(&mut self) -> String {
        let port = reserve().expect("a port");
        let address = port.address();
        self.second_edge = Some(port);
        self.run(SECOND_EDGE);
        self.wait_until_ready().await;
        format!("http://{address}")
    }

    /// Starts second workers beside the first, and waits until they are ready.
    ///
    /// # Panics
    /// When they do not become ready.
    pub async fn more_workers(&mut self) {
        self.run(SECOND_WORKERS);
        self.wait_until_ready().await;
    }

    /// Someone without any credential.
    #[must_use]
    pub fn stranger(&self) -> Actor {
        self.client.clone()
    }

    /// Signs up a tenant on a plan, and is its owner.
    ///
    /// # Panics
    /// When sign-up fails.
    pub async fn tenant(&self, subdomain: &str, plan: &str) -> Owner {
        let email = format!("owner@{subdomain}.example");
        let answer = self.client.post("/api/v1/tenants", sign_up(subdomain, plan, &email)).await;
        let signed_up = answer.expect(201).json();
        let text = |pointer: &str| {
            let found = signed_up.pointer(pointer).and_then(Value::as_str);
            found.unwrap_or_else(|| panic!("no {pointer} in {signed_up}")).to_owned()
        };
        let (tenant_id, token) = (text("/tenant/id"), text("/access_token"));
        let actor = self.client.bearing(&token).with("x-tenant-id", &tenant_id);
        Owner { actor, tenant_id, subdomain: subdomain.to_owned(), email, signed_up }
    }

    /// The owner after opening the mailed link, who says that it was them who signed up.
    ///
    /// # Panics
    /// When a step fails.
    pub async fn verified(&self, owner: Owner) -> Owner {
        let token = self.mailbox().wait_for(&owner.email, "token").await.token();
        let body = json!({"token": token, "password": PASSWORD, "keep_access": true});
        let session = self.client.post("/api/v1/auth/email/verify", body).await.expect(200);
        let token = session.text("/access_token");
        let actor = self.client.bearing(&token).with("x-tenant-id", &owner.tenant_id);
        Owner { actor, ..owner }
    }

    /// Someone who was invited with a role, opened the mailed link, and signed in.
    ///
    /// # Panics
    /// When a step fails.
    pub async fn member(&self, owner: &Owner, email: &str, role: &str) -> Actor {
        let body = json!({"email": email, "name": "Jane Smith", "role": role, "send_invite": true});
        owner.post(&owner.path("/users"), body).await.expect(201);
        let token = self.mailbox().wait_for(email, "token").await.token();
        let body = json!({"token": token, "password": PASSWORD});
        self.client.post("/api/v1/invitations/accept", body).await.expect(200);
        let body = json!({"email": email, "password": PASSWORD});
        let session = self.client.post("/api/v1/auth/login", body).await.expect(200);
        self.client.bearing(&session.text("/access_token")).with("x-tenant-id", &owner.tenant_id)
    }

    /// Tells a tenant's webhook endpoints of an event as a program would, in a transaction that is committed or not.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn publish_and<E: webhooks::events::Event>(
        &self,
        tenant_id: domain::id::TenantId,
        event: &E,
        commit: bool,
    ) {
        let url = domain::secret::Secret::new(self.database.url_as("pytake_worker"));
        let store = store::Store::connect_lazy(&url, 1, std::time::Duration::from_secs(10))
            .expect("a store");
        let keys = self.servers.secrets().key_encryption_keys().expect("keys");
        let sealer = store::sealer::Sealer::new(Box::new(vault::FileKeyProvider::new(keys)));
        let now = SystemClock.now();
        let id = domain::id::WebhookMessageId::new(now, rand::random());
        let message = store::webhook_messages::NewMessage::of(id, event, now).expect("a message");
        let mut tx = store.begin(tenant_id).await.expect("a transaction");
        let audience = store::webhook_messages::Audience::Subscribers;
        store::webhook_messages::publish(&mut tx, &sealer, &message, audience, now)
            .await
            .expect("published");
        if commit {
            tx.commit().await.expect("a commit");
        }
    }

    /// The mail that was sent.
    #[must_use]
    pub fn mailbox(&self) -> Mailbox {
        Mailbox::planting(self.mail_dir(), self.canaries.clone())
    }

    /// Where mail is put.
    #[must_use]
    pub fn mail_dir(&self) -> PathBuf {
        self.home.path().join("mail")
    }

    /// What `pytake-proxy pool-keys` prints for the application of a pool.
    ///
    /// # Panics
    /// When the context key's file cannot be read.
    #[must_use]
    pub fn pool_key(&self, pool: &str) -> String {
        let context_key = self.servers.secrets().edge_context_key().expect("a key file");
        PoolKey::derive(&context_key, pool).to_hex().expose().clone()
    }

    /// What a command of a program prints for whoever is on the machine.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn command(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.try_command(name, arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// As [`Self::command`], whether it fails or not.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn try_command(&self, name: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program(name).expect("a program"));
        command.args(arguments).current_dir(root());
        for name in settings_variables() {
            command.env_remove(name);
        }
        command.env("PYTAKE_DATABASE__URL", self.database.url());
        command.envs(self.servers.secrets().variables());
        command.output().expect("it runs")
    }

    /// A new service key: its id, and an application that sends it.
    ///
    /// # Panics
    /// When none can be made.
    #[must_use]
    pub fn application(&self) -> (String, Actor) {
        let printed = self.command("pytake-api", &["service-credential", "create", "test"]);
        let mut lines = printed.lines().rev();
        let (key, id) = (lines.next().expect("a key"), lines.next().expect("an id"));
        self.canaries.plant(key);
        (id.to_owned(), self.client.bearing(key))
    }

    /// The database, to look at what was written.
    #[must_use]
    pub const fn database(&self) -> &TestDatabase {
        &self.database
    }

    fn log(&self, name: &str) -> PathBuf {
        self.home.path().join(format!("{name}.log"))
    }

    /// A failed test shows what the programs had to say.
    fn show_logs(&mut self) {
        for running in &mut self.programs {
            running.leash.kill();
        }
        for (name, log) in self.logs() {
            let lines: Vec<_> = log.lines().collect();
            show(name, &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..]);
        }
    }

    fn logs(&self) -> Vec<(&'static str, String)> {
        let read = |path: &Path| {
            String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
        };
        self.programs.iter().map(|running| (running.name, read(running.leash.log()))).collect()
    }
}

/// A sign-up's body.
fn sign_up(subdomain: &str, plan: &str, email: &str) -> Value {
    json!({
        "name": format!("{subdomain} Inc"),
        "subdomain": subdomain,
        "plan": plan,
        "owner_email": email,
        "owner_name": "Olivia Owner",
    })
}

impl Drop for App {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_logs();
        } else {
            self.check();
        }
        if self.options.own_postgres {
            self.servers.remove();
        }
    }
}

#[expect(clippy::print_stderr, reason = "the test runner shows it beside the failure")]
fn show(name: &str, lines: &[&str]) {
    eprintln!("--- {name}\n{}", lines.join("\n"));
}
