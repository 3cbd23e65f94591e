//! What the policy costs: CPU per request of the edge, with a key, an allowlist, a limit and the signed
//! context, over the same pingora proxy without any of it, before the same upstream; and what a decision, a
//! start and a change cost among a million keys.

mod crowd;
mod decision;
mod propagation;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use credentials::SymmetricKey;
use credentials::api_key::{ApiKey, Pepper};
use harness::{Leash, Port, Servers, Spawn, TestDatabase, poll_async, program, reserve, tail};
use tempfile::TempDir;

use super::figures::{Bar, Figure, median};
use super::{Length, cpu, edge, load};
use crate::say;

const CONNECTIONS: usize = 16;
/// One for each contender, so that CPU per request is not a matter of how threads share.
const THREADS: usize = 1;
const READY_WITHIN: Duration = Duration::from_secs(60);
const TENANT: &str = "00000000-0000-7000-8000-000000000001";
/// Of the first bench in FIGURES.
const RATIO_MAX: f64 = 1.10;

struct Contender {
    name: &'static str,
    leash: Leash,
    port: Port,
    request: String,
    _metrics: Option<Port>,
}

pub(super) async fn measure(length: Length) -> Result<Vec<Figure>> {
    let (rounds, requests) = match length {
        Length::Quick => (5, 30_000),
        Length::Full => (11, 100_000),
    };
    let servers = Servers::start().await?;
    let mut figures = at_scale(&servers, length).await?;
    let home = tempfile::tempdir()?;
    let database = servers.database().await;
    let key = insert_tenant(&servers, &database).await?;
    let upstream = load::start_upstream().await?;
    let mut contenders = [
        start_raw(&home, upstream).await?,
        start_edge(&home, &servers, &database, upstream, &key, 0).await?,
        start_edge(&home, &servers, &database, upstream, &key, 1_000_000).await?,
    ];
    let mut micros = [const { Vec::new() }; 3];
    for round in 0..=rounds {
        for (contender, micros) in contenders.iter_mut().zip(&mut micros) {
            let measured = contender.round(requests).await?;
            // The first warms caches, connections and leases.
            if round > 0 {
                micros.push(measured);
            }
        }
    }
    let [raw, edge, logging] = &micros;
    let ratio = |micros: &[f64]| {
        median(&micros.iter().zip(raw).map(|(with, without)| with / without).collect::<Vec<_>>())
    };
    let figure = |name, value| Figure { name, value, bar: Bar::None };
    figures.extend([
        Figure { name: "policy_cpu_ratio", value: ratio(edge), bar: Bar::Below(RATIO_MAX) },
        figure("policy_and_access_log_cpu_ratio", ratio(logging)),
        figure("raw_proxy_cpu_per_request_us", median(raw)),
        figure("edge_cpu_per_request_us", median(edge)),
        figure("edge_and_access_log_cpu_per_request_us", median(logging)),
    ]);
    Ok(figures)
}

/// What is measured among a million keys.
async fn at_scale(servers: &Servers, length: Length) -> Result<Vec<Figure>> {
    let changes = if length == Length::Quick { 200 } else { 1_000 };
    let home = [tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?];
    let database = servers.database().await;
    let pepper = Pepper::new(SymmetricKey::new(edge::pepper(servers)?));
    say::note("inserting 100,000 tenants with 1,000,000 keys");
    crowd::insert(&database, &pepper).await?;
    let url = database.url_as("pytake_edge");
    let mut figures = decision::measure(url, pepper, home[2].path()).await?;

    let (upstream, key) = (load::start_upstream().await?, crowd::key(0));
    let first = start_edge(&home[0], servers, &database, upstream, &key, 0).await?;
    let second = start_edge(&home[1], servers, &database, upstream, &key, 0).await?;
    let megabytes = resident_mb(first.leash.pid())?;
    figures.push(Figure { name: "policy_memory_mb", value: megabytes, bar: Bar::Below(300.0) });
    let edges = [first.port.address(), second.port.address()];
    let busy = edges.map(|edge| tokio::spawn(keep_busy(edge, first.request.clone())));
    figures.extend(propagation::measure(&mut database.connect().await, edges, changes).await?);
    busy.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(figures)
}

/// Load without an end.
async fn keep_busy(edge: SocketAddr, request: String) {
    while load::run(edge, &request, CONNECTIONS / 4, 100_000).await.is_ok() {}
}

/// Memory that a process holds (`VmRSS`).
fn resident_mb(pid: i32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).context("the kernel does not say")
}

impl Contender {
    /// CPU microseconds a request.
    async fn round(&mut self, requests: u64) -> Result<f64> {
        let before = cpu::used_by(self.leash.pid())?;
        let done = load::run(self.port.address(), &self.request, CONNECTIONS, requests).await;
        let done = match done {
            Ok(done) => done,
            Err(error) => bail!("{error:#}; its log ends with:\n{}", tail(self.leash.log())),
        };
        let used = cpu::used_by(self.leash.pid())?.saturating_sub(before);
        let micros = used.as_secs_f64() * 1e6 / done.requests as f64;
        let rate = done.requests as f64 / done.took.as_secs_f64();
        say::note(&format!("{}: {micros:.1} µs a request, {rate:.0} requests/s", self.name));
        Ok(micros)
    }
}

async fn start_raw(home: &TempDir, upstream: SocketAddr) -> Result<Contender> {
    let port = reserve()?;
    let leash = Spawn::new(program("raw-proxy")?, home.path().join("raw-proxy"))
        .args(["--listen", &port.address().to_string()])
        .args(["--upstream", &upstream.to_string()])
        .args(["--threads", &THREADS.to_string()])
        .start()?;
    // The same bytes as to the edge: their parsing is not policy.
    let request = request(&"x".repeat(credentials::api_key::LEN));
    let mut contender = Contender { name: "raw proxy", leash, port, request, _metrics: None };
    edge::wait_until_open(&mut contender.leash, &contender.port).await?;
    Ok(contender)
}

async fn start_edge(
    home: &TempDir,
    servers: &Servers,
    database: &TestDatabase,
    upstream: SocketAddr,
    key: &ApiKey,
    access_log_per_million: u32,
) -> Result<Contender> {
    let edge = edge::start(&edge::Setup {
        home: home.path(),
        name: &format!("edge-{access_log_per_million}"),
        servers,
        database,
        redis_url: servers.redis_url(),
        upstream,
        threads: THREADS,
        access_log_per_million,
    })
    .await?;
    let name = if access_log_per_million == 0 { "edge" } else { "edge with access log" };
    let request = request(key.expose());
    let contender = Contender {
        name,
        leash: edge.leash,
        port: edge.port,
        request,
        _metrics: Some(edge.metrics),
    };
    contender.wait_until_admitted().await?;
    Ok(contender)
}

impl Contender {
    /// The listener may open before the policy is there.
    async fn wait_until_admitted(&self) -> Result<()> {
        let (address, request) = (self.port.address(), &self.request);
        let admitted = async || load::run(address, request, 1, 1).await.ok();
        if poll_async(READY_WITHIN, admitted).await.is_some() {
            return Ok(());
        }
        // Once more, for the reason.
        let refusal = load::run(address, request, 1, 1).await.map(|_| ());
        bail!("the edge admits nobody: {refusal:?}\n{}", tail(self.leash.log()))
    }
}

fn request(credential: &str) -> String {
    format!(
        "GET /bench HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\nAuthorization: Bearer {credential}\r\n\r\n"
    )
}

/// A tenant with an allowlist, a key, and a limit that no machine reaches.
async fn insert_tenant(servers: &Servers, database: &TestDatabase) -> Result<ApiKey> {
    let key = ApiKey::generate(rand::random());
    let pepper = Pepper::new(SymmetricKey::new(edge::pepper(servers)?));
    let hash: String =
        key.hash(&pepper).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let last_four = key.last_four();
    let rows = format!(
        "INSERT INTO plan_versions (plan, version, api_calls_per_minute, trial_days, created_at)
         VALUES ('Enterprise', 1000, 2000000000, 0, now());
         INSERT INTO tenants (id, name, subdomain, status, created_at, updated_at)
         VALUES ('{TENANT}', 'Bench', 'bench', 'Active', now(), now());
         INSERT INTO subscriptions (tenant_id, id, plan, plan_version, cycle, currency, status, started_at,
             anchor, period_start, period_end)
         VALUES ('{TENANT}', '{TENANT}', 'Enterprise', 1000, 'Monthly', 'USD', 'Active', now(), now(),
             now(), now() + interval '1 month');
         INSERT INTO users (id, email, name, created_at)
         VALUES ('{TENANT}', 'bench@bench.example', 'Bench', now());
         INSERT INTO memberships (tenant_id, id, user_id, email, name, role, status, created_at)
         VALUES ('{TENANT}', '{TENANT}', '{TENANT}', 'bench@bench.example', 'Bench', 'Owner', 'Active', now());
         INSERT INTO ip_allowlists (tenant_id, networks, updated_at)
         VALUES ('{TENANT}', '{{10.0.0.0/8,127.0.0.0/8,192.168.0.0/16}}', now());
         INSERT INTO api_keys (tenant_id, id, name, hash, last_four, scopes, created_by, created_at)
         VALUES ('{TENANT}', '{TENANT}', 'Bench', '\\x{hash}', '{last_four}', '{{usage.read}}',
             '{TENANT}', now());"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(&mut database.connect().await).await?;
    Ok(key)
}
