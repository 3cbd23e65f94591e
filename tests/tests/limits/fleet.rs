//! A few edges that share a Redis and a database, each over a line of its own to Redis.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use credentials::SymmetricKey;
use credentials::api_key::{ApiKey, Pepper};
use harness::{
    Leash, Port, RedisServer, Servers, Spawn, TestDatabase, poll_async, program, reserve, root,
    tail,
};
use reqwest::{Client, Response};
use rustix::process::Signal;
use settings::KeyFile;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::line::Line;
use crate::upstream::Upstream;

const READY_WITHIN: Duration = Duration::from_secs(30);
const KNOWN_WITHIN: Duration = Duration::from_secs(10);

/// What differs from the usual.
#[derive(Default)]
pub(crate) struct Options {
    /// Put before the route table.
    pub(crate) routes: &'static str,
    /// Where Redis is, instead of a private one over lines.
    pub(crate) redis_url: Option<String>,
}

pub(crate) struct Fleet {
    pub(crate) upstream: Upstream,
    pub(crate) redis: RedisServer,
    pub(crate) lines: Vec<Line>,
    edges: Vec<Edge>,
    pub(crate) database: TestDatabase,
    home: TempDir,
    servers: &'static Servers,
    client: Client,
    tenants: AtomicU32,
}

struct Edge {
    leash: Leash,
    port: Port,
    metrics: Port,
}

/// What a tenant is allowed.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) calls: u32,
    pub(crate) key_calls: Option<u32>,
    pub(crate) slots: Option<u32>,
    pub(crate) messages: Option<u32>,
}

impl Plan {
    pub(crate) const fn calls(calls: u32) -> Self {
        Self { calls, key_calls: None, slots: None, messages: None }
    }
}

/// A tenant with a key.
#[derive(Clone)]
pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) key: String,
}

impl Fleet {
    pub(crate) async fn start(edges: usize) -> Self {
        Self::start_with(edges, Options::default()).await
    }

    pub(crate) async fn start_with(edges: usize, options: Options) -> Self {
        let servers = Servers::shared().await;
        let database = servers.database().await;
        let home = tempfile::Builder::new().prefix("pytake-fleet-").tempdir().expect("a folder");
        let redis = RedisServer::start(home.path(), &home.path().join("redis.log")).expect("Redis");
        let upstream = Upstream::start().await;
        let routes = format!(
            "{}\nupstreams.app = {{ peers = [\"{}\"] }}\nroutes = [{{ methods = [\"GET\"], path = \"/call\", {ROUTE} }},\n\
             {{ methods = [\"GET\"], path = \"/hold\", {ROUTE} }},\n\
             {{ methods = [\"GET\"], path = \"/message\", meter = \"messages\", weight = 3, {ROUTE} }}]\n",
            options.routes,
            upstream.address(),
        );
        std::fs::write(home.path().join("routes.toml"), routes).expect("a route table");
        // Fails only if one is there already, which would do as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().pool_max_idle_per_host(64).build().expect("a client");
        let mut fleet = Self {
            upstream,
            redis,
            lines: Vec::new(),
            edges: Vec::new(),
            database,
            home,
            servers,
            client,
            tenants: AtomicU32::new(0),
        };
        for _ in 0..edges {
            let line = Line::lay(&fleet.socket()).await;
            let url = options.redis_url.clone();
            let url = url.unwrap_or_else(|| format!("redis://{}", line.address()));
            fleet.lines.push(line);
            let edge = fleet.run(fleet.edges.len(), &url);
            fleet.edges.push(edge);
        }
        fleet.wait_until_ready().await;
        fleet
    }

    fn socket(&self) -> PathBuf {
        self.home.path().join("redis.sock")
    }

    fn run(&self, number: usize, redis_url: &str) -> Edge {
        let (port, metrics) = (reserve().expect("a port"), reserve().expect("a port"));
        let path = |name: &str| self.home.path().join(name).to_string_lossy().into_owned();
        let settings = [
            ("PYTAKE_DATABASE__URL", self.database.url_as("pytake_edge")),
            ("PYTAKE_REDIS__URL", redis_url.to_owned()),
            ("PYTAKE_EDGE__LISTEN", format!("[\"{}\"]", port.address())),
            ("PYTAKE_EDGE__METRICS_LISTEN", metrics.address().to_string()),
            ("PYTAKE_EDGE__THREADS", "1".to_owned()),
            ("PYTAKE_EDGE__STATE_DIR", path(&format!("state-{number}"))),
            ("PYTAKE_EDGE__ROUTES_FILE", path("routes.toml")),
            ("PYTAKE_EDGE__ACCESS_LOG_PER_MILLION", "0".to_owned()),
        ];
        let log = self.home.path().join(format!("edge-{number}.log"));
        let leash = Spawn::new(program("pytake-proxy").expect("the edge"), log)
            .variables(self.servers.secrets().variables())
            .variables(settings)
            .in_directory(root())
            .start()
            .expect("an edge");
        Edge { leash, port, metrics }
    }

    /// Until every edge has a policy, leases, and knows of all the others.
    async fn wait_until_ready(&self) {
        let edges = self.edges.len() as f64;
        for number in 0..self.edges.len() {
            let ready = poll_async(READY_WITHIN, async || {
                let known = self.metric(number, "pytake_edge_limit_edges").await?;
                let leases = self.mode(number).await == "leasing";
                let policy = self.metric(number, "pytake_edge_policy_age_seconds").await? >= 0.0;
                (known == edges && leases && policy).then_some(())
            });
            assert!(ready.await.is_some(), "{}", tail(self.edges[number].leash.log()));
        }
    }

    /// A metric of an edge; `None` while it does not answer.
    pub(crate) async fn metric(&self, edge: usize, name: &str) -> Option<f64> {
        let url = format!("http://{}/metrics", self.edges[edge].metrics.address());
        let text = self.client.get(url).send().await.ok()?.text().await.ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(Some(0.0), |value| value.parse().ok())
    }

    /// How an edge decides limits.
    pub(crate) async fn mode(&self, edge: usize) -> &'static str {
        for mode in ["leasing", "slow", "away"] {
            let name = format!("pytake_edge_limit_mode{{mode=\"{mode}\"}}");
            if self.metric(edge, &name).await == Some(1.0) {
                return mode;
            }
        }
        "unknown"
    }

    /// Waits until every edge decides so.
    pub(crate) async fn all_are(&self, mode: &str) {
        for edge in 0..self.edges.len() {
            let found =
                poll_async(READY_WITHIN, async || (self.mode(edge).await == mode).then_some(()));
            assert!(found.await.is_some(), "edge {edge} is {}, not {mode}", self.mode(edge).await);
        }
    }

    /// Whether an edge had to decide without Redis, as it does when the machine is too busy for an answer within
    /// five milliseconds.
    async fn fell_back(&self) -> bool {
        let mut fallbacks = 0.0;
        for edge in 0..self.edges.len() {
            let metric = self.metric(edge, "pytake_edge_limit_fallbacks_total").await;
            // An edge that is gone cannot say.
            fallbacks += metric.unwrap_or(1.0);
        }
        fallbacks > 0.0
    }

    /// Asserts that no fewer were admitted than `least`, where Redis answered in time all along.
    pub(crate) async fn admits(&self, admitted: usize, least: usize) {
        assert!(admitted >= least || self.fell_back().await, "{admitted}, at least {least}");
    }

    /// Asserts that no more were admitted than `limit` allows in `window`, to the permit where Redis answered in
    /// time all along; else within what shares may add.
    pub(crate) async fn bounds(&self, admitted: usize, limit: u32, window: Duration) {
        let most = allowed(limit, window);
        let shares = 3 * self.edges.len() + usize::try_from(limit / 8).expect("small");
        let holds = admitted <= most || (admitted <= most + shares && self.fell_back().await);
        assert!(holds, "{admitted}, at most {most}");
    }

    /// Permits of the tenant's calls a minute that Redis took for taken when it was last asked.
    pub(crate) fn taken(&self, tenant: &Tenant) -> f64 {
        let client = redis::Client::open(self.redis.url()).expect("a client");
        let mut connection = client.get_connection().expect("a connection");
        let key = format!("pytake:limit:{{tenant:{}:0}}", tenant.id.replace('-', ""));
        let level: f64 =
            redis::cmd("HGET").arg(key).arg("level").query(&mut connection).expect("a level");
        level / 60_000_000.0
    }

    /// What an edge has logged.
    pub(crate) fn log(&self, edge: usize) -> String {
        std::fs::read_to_string(self.edges[edge].leash.log()).expect("a log")
    }

    pub(crate) fn kill_edge(&mut self, edge: usize) {
        self.edges[edge].leash.kill();
    }

    /// Stops an edge as an operator does, and waits until it is gone.
    pub(crate) async fn stop_edge(&mut self, edge: usize) {
        let leash = &mut self.edges[edge].leash;
        leash.signal(Signal::TERM);
        let gone = poll_async(READY_WITHIN, || {
            let gone = leash.ended().map(|_| ());
            async move { gone }
        });
        assert!(gone.await.is_some(), "the edge does not stop");
    }

    /// Kills Redis; starts it again, empty.
    pub(crate) fn kill_redis(&mut self) {
        self.redis.leash().kill();
    }

    pub(crate) fn start_redis(&mut self) {
        let log = self.home.path().join("redis.log");
        self.redis = RedisServer::start(self.home.path(), &log).expect("Redis");
    }

    /// A tenant that every edge knows.
    pub(crate) async fn tenant(&self, plan: Plan) -> Tenant {
        let number = self.tenants.fetch_add(1, Ordering::Relaxed) + 1;
        let key = ApiKey::generate(rand::random());
        let hash = key.hash(&Pepper::new(SymmetricKey::new(self.pepper())));
        let hash: String = hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let id = format!("00000000-0000-7000-8000-{number:012}");
        let null = |number: Option<u32>| number.map_or("NULL".to_owned(), |n| n.to_string());
        let sql = format!(
            "INSERT INTO plan_versions (plan, version, api_calls_per_minute, concurrent_requests,
                 messages_per_month, trial_days, created_at)
             VALUES ('Enterprise', {version}, {calls}, {slots}, {messages}, 0, now());
             INSERT INTO tenants (id, name, subdomain, status, created_at, updated_at)
             VALUES ('{id}', 'T', 'tenant-{number}', 'Active', now(), now());
             INSERT INTO subscriptions (tenant_id, id, plan, plan_version, cycle, currency, status,
                 started_at, anchor, period_start, period_end)
             VALUES ('{id}', '{id}', 'Enterprise', {version}, 'Monthly', 'USD', 'Active', now(), now(),
                 now(), now() + interval '1 month');
             INSERT INTO users (id, email, name, created_at)
             VALUES ('{id}', 'owner@t{number}.example', 'T', now());
             INSERT INTO memberships (tenant_id, id, user_id, email, name, role, status, created_at)
             VALUES ('{id}', '{id}', '{id}', 'owner@t{number}.example', 'T', 'Owner', 'Active', now());
             INSERT INTO api_keys (tenant_id, id, name, hash, last_four, scopes, rate_limit, created_by,
                 created_at)
             VALUES ('{id}', '{id}', 'T', '\\x{hash}', '{last_four}', '{{usage.read}}', {key_calls},
                 '{id}', now());",
            version = 1_000 + number,
            calls = plan.calls,
            slots = null(plan.slots),
            messages = null(plan.messages),
            key_calls = null(plan.key_calls),
            last_four = key.last_four(),
        );
        self.sql(&sql).await;
        let tenant = Tenant { id, key: key.expose().to_owned() };
        for edge in 0..self.edges.len() {
            self.knows(edge, &tenant).await;
        }
        tenant
    }

    /// Waits until an edge knows the tenant's key. Asked for another tenant: refused, and no permit is taken.
    async fn knows(&self, edge: usize, tenant: &Tenant) {
        let known = poll_async(KNOWN_WITHIN, async || {
            let request = self.request(edge, "/call", tenant).header("x-tenant-id", "another");
            let answer = request.send().await.ok()?;
            (answer.status() != 401).then_some(())
        });
        assert!(known.await.is_some(), "edge {edge} does not learn of a key");
    }

    /// Runs statements as the database's administrator.
    pub(crate) async fn sql(&self, sql: &str) {
        let mut connection = self.database.connect().await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.expect("SQL");
    }

    fn pepper(&self) -> domain::secret::Secret<[u8; 32]> {
        let variables = self.servers.secrets().variables();
        let path = variables.iter().find(|(name, _)| name.ends_with("PEPPER_FILE"));
        let path = path.expect("a pepper file").1.clone();
        let file: KeyFile = serde_json::from_value(path.into()).expect("a path");
        file.read().expect("keys").pop().expect("a key")
    }

    fn request(&self, edge: usize, path: &str, tenant: &Tenant) -> reqwest::RequestBuilder {
        let url = format!("http://{}{path}", self.edges[edge].port.address());
        self.client.get(url).header("host", "localhost").bearer_auth(&tenant.key)
    }

    /// One request.
    pub(crate) async fn ask(&self, edge: usize, path: &str, tenant: &Tenant) -> Response {
        self.request(edge, path, tenant).send().await.expect("an answer")
    }

    /// One request in a task of its own.
    pub(crate) fn spawn_ask(
        &self,
        tasks: &mut JoinSet<u16>,
        edge: usize,
        path: &str,
        tenant: &Tenant,
    ) {
        let request = self.request(edge, path, tenant);
        tasks.spawn(async move { request.send().await.expect("an answer").status().as_u16() });
    }

    /// `count` requests to each of `edges` at the same time, eight at once to each.
    pub(crate) async fn flood(&self, edges: &[usize], count: usize, tenant: &Tenant) -> Flood {
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for edge in edges {
            for lane in 0..8 {
                let requests: Vec<_> = (lane..count)
                    .step_by(8)
                    .map(|_| self.request(*edge, "/call", tenant))
                    .collect();
                tasks.spawn(async move {
                    let mut answers = Vec::new();
                    for request in requests {
                        let sent = Instant::now();
                        let status = request.send().await.expect("an answer").status().as_u16();
                        answers.push((status, sent.elapsed()));
                    }
                    answers
                });
            }
        }
        let answers = tasks.join_all().await.into_iter().flatten().collect();
        Flood { answers, took: began.elapsed() }
    }
}

const ROUTE: &str =
    "upstream = \"app\", auth = \"any\", tenant = \"required\", permission = \"ViewUsage\"";

/// What became of many requests.
pub(crate) struct Flood {
    answers: Vec<(u16, Duration)>,
    pub(crate) took: Duration,
}

impl Flood {
    /// How many were admitted; none was answered anything but 200 or 429.
    pub(crate) fn admitted(&self) -> usize {
        let others: Vec<_> =
            self.answers.iter().filter(|(status, _)| !matches!(status, 200 | 429)).collect();
        assert!(others.is_empty(), "{others:?}");
        self.answers.iter().filter(|(status, _)| *status == 200).count()
    }

    /// The time that half of the answers took at most.
    pub(crate) fn median(&self) -> Duration {
        let mut times: Vec<_> = self.answers.iter().map(|(_, took)| *took).collect();
        times.sort_unstable();
        times[times.len() / 2]
    }
}

/// The most that a limit allows in a window so long.
pub(crate) fn allowed(limit: u32, window: Duration) -> usize {
    let back =
        u64::try_from(window.as_millis()).expect("a short window") * u64::from(limit) / 60_000;
    usize::try_from(u64::from(limit) + back).expect("a small number")
}
