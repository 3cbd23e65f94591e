//! The edge: decides, limits and forwards every request. Settings → services → run.

mod access_log;
mod answer;
mod edge;
mod facts;
mod forward;
mod headers;
mod limiter;
mod listeners;
mod metrics;
mod policy_feed;
mod pool_keys;
mod problem;
mod reload;
mod shipper;
mod shutdown;
mod table;
mod upstreams;
mod usage;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use clap::{Parser, Subcommand};
use credentials::SymmetricKey;
use credentials::api_key::Pepper;
use domain::clock::{Clock, SystemClock};
use feed::{Feed, Sources, UsageSink};
use limits::Limiter;
use metering::{Spool, SpoolLimits};
use pingora::apps::HttpServerOptions;
use pingora::proxy::http_proxy_service;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::background::GenBackgroundService;
use pingora::services::listening::Service;
use policy::Site;
use policy::forwarded::TrustedProxies;
use policy::hosts::PlatformHosts;
use settings::{KeyFile, Settings};
use uuid::Uuid;

use crate::access_log::AccessLog;
use crate::edge::{Edge, TRIES_MAX};
use crate::listeners::Opening;
use crate::metrics::{Metrics, Vitals};
use crate::policy_feed::PolicyFeed;
use crate::reload::Reload;
use crate::shipper::Shipper;
use crate::shutdown::{Exit, Leases, Signals};
use crate::table::{Table, TableSource, read_routes};
use crate::upstreams::Checks;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Requests of one connection, after which it is closed so that memory is freed and load spreads.
const REQUESTS_PER_CONNECTION_MAX: u32 = 100_000;
/// Distinct subjects that one thread counts between two seals, before one is made early.
const SUBJECTS_PER_THREAD: u32 = 8_192;
/// Exit status of settings or a route table that cannot be used.
const EXIT_SETTINGS: u8 = 2;

/// The PyTake edge proxy. Settings: config/default.toml, the file named by PYTAKE_CONFIG, PYTAKE_… variables.
#[derive(Debug, Parser)]
#[command(name = "pytake-proxy")]
struct Arguments {
    /// Check settings and route table, then exit.
    #[arg(long)]
    check: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print what the application of a pool verifies requests with: one key a line, the newest last.
    PoolKeys {
        /// The pool's name in the route table.
        name: String,
    },
}

/// What a start needs, checked.
struct Prepared {
    settings: Settings,
    source: TableSource,
    table: Table,
    redis: limits::Server,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Command::PoolKeys { name }) = arguments.command {
        let printed = pool_keys::print(&name);
        return printed.map_or_else(|error| fail(&error, EXIT_SETTINGS), |()| ExitCode::SUCCESS);
    }
    // Fails only if a provider is there already, which would do as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let prepared = match prepare() {
        Ok(prepared) => prepared,
        Err(error) => return fail(&error, EXIT_SETTINGS),
    };
    if arguments.check {
        return ExitCode::SUCCESS;
    }
    match serve(prepared) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, 1),
    }
}

fn fail(error: &anyhow::Error, status: u8) -> ExitCode {
    // Nothing is left to do if even standard error is closed.
    let _ = writeln!(std::io::stderr(), "pytake-proxy: {error:#}");
    ExitCode::from(status)
}

fn prepare() -> anyhow::Result<Prepared> {
    let settings = Settings::load()?;
    let context_key = keys(&settings.secrets.edge_context_key_file)?
        .pop()
        .context("the edge context key file holds no key")?;
    let source = TableSource {
        routes_file: settings.edge.routes_file.clone(),
        peers: settings.edge.upstreams.clone(),
        context_key,
    };
    let mut peppers = keys(&settings.secrets.api_key_pepper_file)?;
    peppers.reverse();
    let site = Site {
        hosts: PlatformHosts::new(
            settings.edge.base_domain.clone(),
            settings.edge.platform_hosts.iter().cloned(),
        ),
        routes: read_routes(&source.routes_file)?,
        peppers: peppers.into_iter().map(Pepper::new).collect(),
        token_issuer: settings.api.token_issuer.clone(),
        token_audience: settings.api.token_audience.clone(),
    };
    let table = source.table(site, None)?;
    let redis =
        limits::Server::parse(settings.redis.url.expose()).context("settings: redis.url")?;
    Ok(Prepared { settings, source, table, redis })
}

fn keys(file: &KeyFile) -> anyhow::Result<Vec<SymmetricKey>> {
    Ok(file.read()?.into_iter().map(SymmetricKey::new).collect())
}

fn serve(prepared: Prepared) -> anyhow::Result<()> {
    let Prepared { settings, source, table, redis } = prepared;
    telemetry::init(&settings.log)?;
    let public = listeners::available(&settings.edge.listen)?;
    let private = listeners::available(&[settings.edge.metrics_listen])?;

    let metrics = Arc::new(Metrics::new()?);
    let feed = Feed::new(sources(&settings, &metrics));
    let edge_id = format!("{:016x}", rand::random::<u64>());
    let boot_id = new_id();
    let spool = Arc::new(open_spool(&settings, boot_id)?);
    let table = table.counted_in(&spool)?;
    let vitals = Vitals {
        metrics: Arc::clone(&metrics),
        policy: Arc::new(PolicyFeed::new(feed, table)),
        limiter: Arc::new(Limiter::new(
            &settings.redis.key_prefix,
            edge_id,
            settings.redis.edges_min.get(),
        )),
        spool: Arc::clone(&spool),
        opening: Arc::new(Opening::of(public.clone())),
        policy_stale_after: settings.edge.policy_stale_after(),
    };
    vitals.policy.restore();
    let policy = Arc::clone(&vitals.policy);
    let reload =
        Reload { source, policy, spool: Arc::clone(&spool), metrics: Arc::clone(&metrics) };
    let shipper = Shipper {
        spool,
        boot_id,
        sink: tokio::sync::Mutex::new(UsageSink::new(settings.database.url.clone())),
        metrics,
        done: Arc::new(AtomicBool::new(false)),
    };
    let access_log = AccessLog::start(settings.edge.access_log_per_million)?;
    let edge = Edge {
        vitals: vitals.clone(),
        trusted_proxies: TrustedProxies::new(settings.edge.trusted_proxies.iter().copied()),
        access_log: Arc::clone(&access_log),
        header_bytes_max: settings.edge.header_bytes_max,
    };

    let mut server = Server::new_with_opt_and_conf(None, server_conf(&settings));
    server.bootstrap();
    add_background(&mut server, &vitals, redis, shipper, access_log);
    server.add_service(GenBackgroundService::new("reload".to_owned(), Arc::new(reload)));
    add_listeners(&mut server, edge, &public, vitals, &private);
    tracing::info!(?public, ?private, "edge listening on {public:?}, metrics on {private:?}");
    server.run(RunArgs { shutdown_signal: Box::new(Signals) });
    Ok(())
}

/// Where the policy comes from.
fn sources(settings: &Settings, metrics: &Arc<Metrics>) -> Sources {
    let metrics = Arc::clone(metrics);
    Sources {
        url: settings.database.url.clone(),
        folder: settings.edge.state_dir.clone(),
        stale_after: settings.edge.policy_stale_after(),
        clock: Arc::new(SystemClock),
        observer: Box::new(move |lag| metrics.propagation_seconds.observe(lag.as_secs_f64())),
    }
}

fn threads(settings: &Settings) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    if settings.edge.threads == 0 { cores() } else { settings.edge.threads }
}

/// A new id, sortable by time.
fn new_id() -> Uuid {
    let millis = u64::try_from(SystemClock.now().as_millisecond()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid()
}

fn open_spool(settings: &Settings, boot_id: Uuid) -> anyhow::Result<Spool> {
    let limits = SpoolLimits {
        bytes_max: settings.edge.usage_bytes_max,
        stripes: u32::try_from(threads(settings)).unwrap_or(u32::MAX),
        slots_per_stripe: SUBJECTS_PER_THREAD,
    };
    Spool::open(&settings.edge.usage_dir(), boot_id, new_id(), limits, SystemClock.now())
        .context("usage cannot be counted; see edge.state_dir")
}

fn server_conf(settings: &Settings) -> ServerConf {
    ServerConf {
        threads: threads(settings),
        max_retries: TRIES_MAX,
        grace_period_seconds: Some(settings.edge.grace_period().as_secs()),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    }
}

fn add_background(
    server: &mut Server,
    vitals: &Vitals,
    redis: limits::Server,
    shipper: Shipper,
    access_log: Arc<AccessLog>,
) {
    let returned = Arc::new(AtomicBool::new(false));
    let metrics = Arc::clone(&vitals.metrics);
    let leases = Leases {
        limiter: Arc::clone(&vitals.limiter),
        redis,
        returned: Arc::clone(&returned),
        metrics: Arc::clone(&metrics),
    };
    let exit = Exit { returned, shipped: Arc::clone(&shipper.done), metrics, access_log };
    server.add_service(GenBackgroundService::new("policy".to_owned(), Arc::clone(&vitals.policy)));
    server.add_service(GenBackgroundService::new(
        "upstreams".to_owned(),
        Arc::new(Checks(Arc::clone(&vitals.policy))),
    ));
    let opening = Arc::clone(&vitals.opening);
    server.add_service(GenBackgroundService::new("opening".to_owned(), opening));
    server.add_service(GenBackgroundService::new("leases".to_owned(), Arc::new(leases)));
    server.add_service(GenBackgroundService::new("usage".to_owned(), Arc::new(shipper)));
    server.add_service(GenBackgroundService::new("exit".to_owned(), Arc::new(exit)));
}

fn add_listeners(
    server: &mut Server,
    edge: Edge,
    public: &[SocketAddr],
    vitals: Vitals,
    private: &[SocketAddr],
) {
    let mut proxy = http_proxy_service(&server.configuration, edge);
    for address in public {
        proxy.add_tcp(&address.to_string());
    }
    if let Some(logic) = proxy.app_logic_mut() {
        let mut options = HttpServerOptions::default();
        options.keepalive_request_limit = Some(REQUESTS_PER_CONNECTION_MAX);
        logic.server_options = Some(options);
    }
    server.add_service(proxy);

    let mut health = Service::new("metrics".to_owned(), vitals);
    for address in private {
        health.add_tcp(&address.to_string());
    }
    health.threads = Some(1);
    server.add_service(health);
}
