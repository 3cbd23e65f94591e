//! An edge alone before an upstream that always answers, as benches run it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use domain::secret::Secret;
use harness::{
    Leash, Port, Servers, Spawn, TestDatabase, poll_async, program, reserve, root, tail,
};
use settings::KeyFile;
use tokio::net::TcpStream;

const READY_WITHIN: Duration = Duration::from_secs(60);

/// What an edge is started with.
pub(super) struct Setup<'a> {
    pub(super) home: &'a Path,
    /// Tells edges of one home apart.
    pub(super) name: &'a str,
    pub(super) servers: &'a Servers,
    pub(super) database: &'a TestDatabase,
    pub(super) redis_url: &'a str,
    pub(super) upstream: SocketAddr,
    pub(super) threads: usize,
    pub(super) access_log_per_million: u32,
}

/// A running edge.
pub(super) struct Edge {
    pub(super) leash: Leash,
    pub(super) port: Port,
    pub(super) metrics: Port,
}

/// Starts an edge that serves `/bench`, and waits until its listener is open.
pub(super) async fn start(setup: &Setup<'_>) -> Result<Edge> {
    let (port, metrics) = (reserve()?, reserve()?);
    let routes = setup.home.join("routes.toml");
    let upstream = setup.upstream;
    std::fs::write(
        &routes,
        format!(
            "upstreams.app = {{ peers = [\"{upstream}\"] }}\n\
             routes = [{{ methods = [\"GET\"], path = \"/bench\", upstream = \"app\", auth = \"any\", \
             tenant = \"required\", permission = \"ViewUsage\" }}]\n"
        ),
    )?;
    let path = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    let settings = [
        ("PYTAKE_DATABASE__URL", setup.database.url_as("pytake_edge")),
        ("PYTAKE_REDIS__URL", setup.redis_url.to_owned()),
        ("PYTAKE_EDGE__LISTEN", format!("[\"{}\"]", port.address())),
        ("PYTAKE_EDGE__METRICS_LISTEN", metrics.address().to_string()),
        ("PYTAKE_EDGE__THREADS", setup.threads.to_string()),
        ("PYTAKE_EDGE__STATE_DIR", path(setup.home.join(format!("{}-state", setup.name)))),
        ("PYTAKE_EDGE__ROUTES_FILE", path(routes)),
        ("PYTAKE_EDGE__ACCESS_LOG_PER_MILLION", setup.access_log_per_million.to_string()),
    ];
    let leash = Spawn::new(program("pytake-proxy")?, setup.home.join(setup.name))
        .variables(setup.servers.secrets().variables())
        .variables(settings)
        .in_directory(root())
        .start()?;
    let mut edge = Edge { leash, port, metrics };
    wait_until_open(&mut edge.leash, &edge.port).await?;
    Ok(edge)
}

/// Waits until a proxy takes connections.
pub(super) async fn wait_until_open(leash: &mut Leash, port: &Port) -> Result<()> {
    let address = port.address();
    let open = poll_async(READY_WITHIN, || {
        let ended = leash.ended().is_some();
        async move {
            if ended { Some(false) } else { TcpStream::connect(address).await.ok().map(|_| true) }
        }
    });
    if open.await != Some(true) {
        bail!("a proxy does not start:\n{}", tail(leash.log()));
    }
    Ok(())
}

/// What keys are hashed with in this installation.
pub(super) fn pepper(servers: &Servers) -> Result<Secret<[u8; 32]>> {
    let variables = servers.secrets().variables();
    let path = variables.iter().find(|(name, _)| name.ends_with("PEPPER_FILE"));
    let path = path.map(|(_, path)| path.clone()).unwrap_or_default();
    let file: KeyFile = serde_json::from_value(serde_json::Value::String(path))?;
    match file.read()?.pop() {
        Some(key) => Ok(key),
        None => bail!("the pepper file holds no key"),
    }
}
