//! The programs of `up`: migrated once, then edges, API and workers, each with its own role and log.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use harness::{Leash, Port, SecretFiles, Spawn, poll_async, program, reserve, root, tail};
use settings::Settings;

use super::Options;
use super::servers::{RoleUrls, Servers};
use crate::place::Place;
use crate::say;

const READY_WITHIN: Duration = Duration::from_secs(30);

/// One running program.
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) leash: Leash,
    pub(crate) metrics_url: String,
    // Held so that nobody else is given them.
    _ports: Vec<Port>,
}

/// All that run.
pub(crate) struct Programs {
    pub(crate) all: Vec<Program>,
    pub(crate) proxy_urls: Vec<String>,
    pub(crate) api_url: String,
}

impl Programs {
    /// Where the first edge is.
    pub(crate) fn proxy_url(&self) -> &str {
        self.proxy_urls.first().map_or("", String::as_str)
    }
}

pub(crate) fn migrate(place: &Place, servers: &Servers, secrets: &SecretFiles) -> Result<()> {
    let log = place.log("migrate");
    let output = Command::new(program("pytake-api")?)
        .arg("migrate")
        .current_dir(root())
        .env("PYTAKE_DATABASE__URL", servers.database_url())
        .envs(secrets.variables())
        .output()
        .context("cannot run pytake-api")?;
    std::fs::write(&log, [output.stdout, output.stderr].concat())?;
    if !output.status.success() {
        bail!("the database could not be migrated; {} ends with:\n{}", log.display(), tail(&log));
    }
    Ok(())
}

pub(crate) async fn start(
    place: &Place,
    settings: &Settings,
    options: &Options,
    servers: &Servers,
    urls: &RoleUrls,
    secrets: &SecretFiles,
) -> Result<Programs> {
    let mut shared = secrets.variables();
    shared.push(("PYTAKE_REDIS__URL".into(), servers.redis_url.clone()));
    // So that webhooks can be received on this machine.
    let loopback = "[\"127.0.0.0/8\", \"::1/128\"]";
    shared.push(("PYTAKE_WEBHOOKS__ALLOWED_NETWORKS".into(), loopback.into()));
    shared.push(("PYTAKE_MAIL__DIR".into(), place.mail().to_string_lossy().into_owned()));
    let api = settings.api.listen;
    shared.push(("PYTAKE_EDGE__UPSTREAMS".into(), format!("{{api=[\"{api}\"]}}")));
    let launcher = Launcher { place, shared };

    let operator = vec![("PYTAKE_OPERATOR__DATABASE_URL", urls.operator.clone())];
    let mut all = vec![launcher.run("pytake-api", "api", &urls.api, operator, Vec::new())?];
    all[0].metrics_url = format!("http://{}", settings.api.metrics_listen);
    for number in 1..=options.workers {
        all.push(launcher.workers(settings, number, &urls.worker)?);
    }
    let mut proxy_urls = Vec::new();
    for number in 1..=options.edges {
        let (edge, url) = launcher.edge(settings, number, &urls.edge)?;
        all.push(edge);
        proxy_urls.push(url);
    }
    wait_until_ready(&mut all).await?;
    Ok(Programs { all, proxy_urls, api_url: format!("http://{api}") })
}

struct Launcher<'a> {
    place: &'a Place,
    shared: Vec<(String, String)>,
}

impl Launcher<'_> {
    fn run(
        &self,
        binary: &str,
        name: &str,
        database_url: &str,
        own: Vec<(&'static str, String)>,
        ports: Vec<Port>,
    ) -> Result<Program> {
        let log = self.place.log(name);
        // Each run's log is its own, so that what a complaint quotes is of this run.
        std::fs::write(&log, "")?;
        let leash = Spawn::new(program(binary)?, &log)
            .variables(self.shared.iter().cloned())
            .variables([("PYTAKE_DATABASE__URL", database_url)])
            .variables(own)
            .in_directory(root())
            .start()?;
        Ok(Program { name: name.to_owned(), leash, metrics_url: String::new(), _ports: ports })
    }

    fn workers(&self, settings: &Settings, number: u8, database_url: &str) -> Result<Program> {
        let (mut own, mut ports) = (Vec::new(), Vec::new());
        let mut metrics = settings.workers.metrics_listen;
        if number > 1 {
            let port = reserve()?;
            metrics = port.address();
            own.push(("PYTAKE_WORKERS__METRICS_LISTEN", metrics.to_string()));
            ports.push(port);
        }
        let name = numbered("workers", number);
        let mut program = self.run("pytake-workers", &name, database_url, own, ports)?;
        program.metrics_url = format!("http://{metrics}");
        Ok(program)
    }

    fn edge(
        &self,
        settings: &Settings,
        number: u8,
        database_url: &str,
    ) -> Result<(Program, String)> {
        let (mut own, mut ports) = (Vec::new(), Vec::new());
        let mut metrics = settings.edge.metrics_listen;
        // `localhost` rather than the number, because tenants are names below it.
        let port = settings.edge.listen.first().map_or(0, std::net::SocketAddr::port);
        let mut url = format!("http://localhost:{port}");
        if number > 1 {
            let (listen, other) = (reserve()?, reserve()?);
            metrics = other.address();
            url = format!("http://localhost:{}", listen.address().port());
            own.push(("PYTAKE_EDGE__LISTEN", format!("[\"{}\"]", listen.address())));
            own.push(("PYTAKE_EDGE__METRICS_LISTEN", metrics.to_string()));
            ports.extend([listen, other]);
        }
        let name = numbered("edge", number);
        let state = self.place.state(&name).to_string_lossy().into_owned();
        own.push(("PYTAKE_EDGE__STATE_DIR", state));
        let mut program = self.run("pytake-proxy", &name, database_url, own, ports)?;
        program.metrics_url = format!("http://{metrics}");
        Ok((program, url))
    }
}

fn numbered(name: &str, number: u8) -> String {
    if number == 1 { name.to_owned() } else { format!("{name}-{number}") }
}

async fn wait_until_ready(all: &mut [Program]) -> Result<()> {
    let http = http_client()?;
    let began = Instant::now();
    for program in all {
        let url = format!("{}/readyz", program.metrics_url);
        let leash = &mut program.leash;
        let outcome = poll_async(READY_WITHIN, || {
            let ended = leash.ended().is_some();
            let answer = http.get(&url).send();
            async move {
                match (ended, answer.await) {
                    (true, _) => Some(false),
                    (false, Ok(answer)) if answer.status().is_success() => Some(true),
                    _ => None,
                }
            }
        });
        let outcome = outcome.await;
        let (name, log) = (&program.name, program.leash.log());
        match outcome {
            Some(true) => {
                say::step(&format!("{name} is ready ({} ms)", began.elapsed().as_millis()))
            }
            Some(false) => {
                bail!("{name} ended at its start; {} ends with:\n{}", log.display(), tail(log))
            }
            None => {
                bail!("{name} does not become ready; {} ends with:\n{}", log.display(), tail(log))
            }
        }
    }
    Ok(())
}

/// A client for our own programs.
pub(crate) fn http_client() -> Result<reqwest::Client> {
    // Fails the second time in a process, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?)
}
