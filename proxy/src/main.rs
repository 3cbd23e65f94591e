//! The edge: decides, limits and forwards every request. Settings → services → run.

mod access_log;
mod answer;
mod edge;
mod facts;
mod forward;
mod limiter;
mod listeners;
mod metrics;
mod policy_feed;
mod problem;
mod shutdown;
mod upstreams;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use clap::Parser;
use credentials::SymmetricKey;
use credentials::api_key::Pepper;
use feed::Feed;
use limits::Limiter;
use pingora::apps::HttpServerOptions;
use pingora::proxy::http_proxy_service;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::background::GenBackgroundService;
use pingora::services::listening::Service;
use policy::Site;
use policy::hosts::PlatformHosts;
use policy::routes::RouteTable;
use settings::{KeyFile, Settings};

use crate::access_log::AccessLog;
use crate::edge::{Edge, TRIES_MAX};
use crate::facts::TrustedProxies;
use crate::forward::Forwarder;
use crate::metrics::{Metrics, Vitals};
use crate::policy_feed::PolicyFeed;
use crate::shutdown::{Exit, Leases, Signals};
use crate::upstreams::Upstreams;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Requests of one connection, after which it is closed so that memory is freed and load spreads.
const REQUESTS_PER_CONNECTION_MAX: u32 = 100_000;
/// Exit status of settings or a route table that cannot be used.
const EXIT_SETTINGS: u8 = 2;

/// The PyTake edge proxy. Settings: config/default.toml, the file named by PYTAKE_CONFIG, PYTAKE_… variables.
#[derive(Debug, Parser)]
#[command(name = "pytake-proxy")]
struct Arguments {
    /// Check settings and route table, then exit.
    #[arg(long)]
    check: bool,
}

/// What a start needs, checked.
struct Prepared {
    settings: Settings,
    site: Site,
    context_key: SymmetricKey,
    upstreams: Upstreams,
    redis: redis::Client,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
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
    let file = &settings.edge.routes_file;
    let text = std::fs::read_to_string(file).with_context(|| {
        format!("cannot read the route table {}; set edge.routes_file", file.display())
    })?;
    let routes = RouteTable::parse(&file.display().to_string(), &text)?;
    let upstreams = Upstreams::new(&routes, &settings.edge.upstreams)?;
    let mut peppers = keys(&settings.secrets.api_key_pepper_file)?;
    peppers.reverse();
    let site = Site {
        hosts: PlatformHosts::new(
            settings.edge.base_domain.clone(),
            settings.edge.platform_hosts.iter().cloned(),
        ),
        routes,
        peppers: peppers.into_iter().map(Pepper::new).collect(),
        token_issuer: settings.api.token_issuer.clone(),
        token_audience: settings.api.token_audience.clone(),
    };
    let context_key = keys(&settings.secrets.edge_context_key_file)?
        .pop()
        .context("the edge context key file holds no key")?;
    let redis = redis::Client::open(settings.redis.url.expose().as_str())
        .context("settings: redis.url is not a Redis URL")?;
    Ok(Prepared { settings, site, context_key, upstreams, redis })
}

fn keys(file: &KeyFile) -> anyhow::Result<Vec<SymmetricKey>> {
    Ok(file.read()?.into_iter().map(SymmetricKey::new).collect())
}

fn serve(prepared: Prepared) -> anyhow::Result<()> {
    let Prepared { settings, site, context_key, upstreams, redis } = prepared;
    telemetry::init(&settings.log)?;
    let public = listeners::available(&settings.edge.listen)?;
    let private = listeners::available(&[settings.edge.metrics_listen])?;

    let site = Arc::new(site);
    let pools = site.routes.upstreams().map(|(name, _)| name);
    let forwarder = Forwarder::new(&context_key, pools, rand::random());
    let feed = Feed::new(settings.database.url.clone(), Arc::clone(&site));
    let edge_id = format!("{:016x}", rand::random::<u64>());
    let vitals = Vitals {
        metrics: Arc::new(Metrics::new()?),
        policy: Arc::new(PolicyFeed::new(feed)),
        limiter: Arc::new(Limiter::new(&settings.redis.key_prefix, edge_id)),
        upstreams: Arc::new(upstreams),
    };
    let access_log = AccessLog::start(settings.edge.access_log_per_million)?;
    let edge = Edge {
        vitals: vitals.clone(),
        forwarder,
        trusted_proxies: TrustedProxies::new(&settings.edge.trusted_proxies),
        access_log: Arc::clone(&access_log),
        header_bytes_max: settings.edge.header_bytes_max,
        policy_stale_after: settings.edge.policy_stale_after(),
    };

    let mut server = Server::new_with_opt_and_conf(None, server_conf(&settings));
    server.bootstrap();
    add_background(&mut server, &vitals, redis, access_log);
    add_listeners(&mut server, edge, &public, vitals, &private);
    tracing::info!(?public, ?private, "edge listening on {public:?}, metrics on {private:?}");
    server.run(RunArgs { shutdown_signal: Box::new(Signals) });
    Ok(())
}

fn server_conf(settings: &Settings) -> ServerConf {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    ServerConf {
        threads: if settings.edge.threads == 0 { cores() } else { settings.edge.threads },
        max_retries: TRIES_MAX,
        grace_period_seconds: Some(settings.edge.grace_period().as_secs()),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    }
}

fn add_background(
    server: &mut Server,
    vitals: &Vitals,
    redis: redis::Client,
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
    let exit = Exit { returned, metrics, access_log };
    server.add_service(GenBackgroundService::new("policy".to_owned(), Arc::clone(&vitals.policy)));
    server.add_service(GenBackgroundService::new(
        "upstreams".to_owned(),
        Arc::clone(&vitals.upstreams),
    ));
    server.add_service(GenBackgroundService::new("leases".to_owned(), Arc::new(leases)));
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
