//! Four edges that share a Redis, and the load that ten tenants offer them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use harness::{RedisServer, Servers, TestDatabase};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::tenants::{self, Tenant};
use super::windows::{Asked, Run};
use crate::bench::caller::Caller;
use crate::bench::{edge, load};
use crate::say;

const EDGES: usize = 4;
const KNOWN_WITHIN: Duration = Duration::from_secs(10);
/// In which time a tenant spends as many requests as its limit. At once, ten tenants would keep this machine so
/// busy that edges decided by their shares.
const BURST: Duration = Duration::from_secs(4);
/// A request that is sent this long after it was due means that the load, not the edge, is measured.
const LATE_MAX: Duration = Duration::from_millis(500);

/// Redis is gone for a while.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outage {
    pub(super) after: Duration,
    pub(super) lasts: Duration,
}

/// Four edges, what they share, and what they serve.
pub(super) struct Fleet<'s> {
    servers: &'s Servers,
    database: TestDatabase,
    home: TempDir,
    redis: RedisServer,
    edges: Vec<edge::Edge>,
    runs: usize,
}

impl<'s> Fleet<'s> {
    pub(super) async fn start(servers: &'s Servers) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let database = servers.database().await;
        tenants::insert_plans(&database).await?;
        let redis = start_redis(home.path())?;
        let upstream = load::start_upstream().await?;
        let mut edges = Vec::new();
        for number in 0..EDGES {
            edges.push(
                edge::start(&edge::Setup {
                    home: home.path(),
                    name: &format!("edge-{number}"),
                    servers,
                    database: &database,
                    redis_url: &redis.url(),
                    upstream,
                    threads: 1,
                    access_log_per_million: 0,
                })
                .await?,
            );
        }
        Ok(Self { servers, database, home, redis, edges, runs: 0 })
    }

    /// New tenants spend their bursts and then offer `multiple` times their limits for as long as `lasts`.
    pub(super) async fn run(
        &mut self,
        multiple: f64,
        lasts: Duration,
        outage: Option<Outage>,
    ) -> Result<Vec<Run>> {
        let tenants = tenants::insert(self.servers, &self.database, self.runs).await?;
        self.runs += 1;
        let addresses: Vec<_> = self.edges.iter().map(|edge| edge.port.address()).collect();
        for tenant in &tenants {
            known(&addresses, tenant).await?;
        }
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for (place, tenant) in tenants.into_iter().enumerate() {
            tasks.spawn(offer(addresses.clone(), tenant, place, multiple, lasts));
        }
        if let Some(outage) = outage {
            tokio::time::sleep(outage.after).await;
            self.redis.leash().kill();
            tokio::time::sleep(outage.lasts).await;
            self.redis = start_redis(self.home.path())?;
        }
        let mut runs = Vec::new();
        while let Some(run) = tasks.join_next().await {
            runs.push(run??);
        }
        runs.sort_by_key(|run| run.limit);
        for run in &runs {
            say::note(&format!("{multiple}x {}", run.describe()));
            run.check()?;
        }
        say::note(&format!("{multiple}x took {:?}", began.elapsed()));
        Ok(runs)
    }
}

fn start_redis(home: &Path) -> Result<RedisServer> {
    RedisServer::start(home, &home.join("redis.log"))
}

/// Waits until every edge knows the tenant's key. Asked for another tenant: whoever knows the key refuses that,
/// and takes no permit.
async fn known(edges: &[SocketAddr], tenant: &Tenant) -> Result<()> {
    let request = tenant.request.replacen("\r\n", "\r\nX-Tenant-ID: another\r\n", 1);
    for edge in edges {
        let mut caller = Caller::connect(*edge).await?;
        let began = Instant::now();
        while caller.ask(&request).await? == 401 {
            if began.elapsed() > KNOWN_WITHIN {
                bail!("an edge does not learn of a new key");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

/// The load of one tenant: its burst, then evenly paced, over all edges in turn.
async fn offer(
    edges: Vec<SocketAddr>,
    tenant: Tenant,
    place: usize,
    multiple: f64,
    lasts: Duration,
) -> Result<Run> {
    let load = Load {
        edges,
        request: tenant.request.as_str().into(),
        origin: Instant::now(),
        callers: (0..EDGES).map(|_| Mutex::default()).collect(),
    };
    let load = Arc::new(load);
    // Tenants do not tick together.
    let offset = place as f64 / 10.0;
    let burst = f64::from(tenant.limit) / BURST.as_secs_f64();
    let mut asked = load.pace(burst, offset, BURST).await?;
    let steady_from = load.origin.elapsed();
    asked.extend(load.pace(f64::from(tenant.limit) * multiple / 60.0, offset, lasts).await?);
    Ok(Run::new(tenant.limit, asked, steady_from))
}

/// The load of one tenant on all edges.
struct Load {
    edges: Vec<SocketAddr>,
    request: String,
    origin: Instant,
    /// Idle connections to each edge.
    callers: Vec<Mutex<Vec<Caller>>>,
}

impl Load {
    /// So many requests a second, each when it is due, whether others are answered or not.
    async fn pace(
        self: &Arc<Self>,
        per_second: f64,
        offset: f64,
        lasts: Duration,
    ) -> Result<Vec<Asked>> {
        let (start, mut tasks, mut asked) = (Instant::now(), JoinSet::new(), Vec::new());
        for number in 0_usize.. {
            let due = Duration::from_secs_f64((number as f64 + offset) / per_second);
            if due >= lasts {
                break;
            }
            tokio::time::sleep_until((start + due).into()).await;
            if start.elapsed() > due + LATE_MAX {
                bail!("the load falls behind; the machine is too busy to measure");
            }
            let load = Arc::clone(self);
            tasks.spawn(async move { load.ask(number % load.edges.len()).await });
            while let Some(done) = tasks.try_join_next() {
                asked.push(done??);
            }
        }
        while let Some(done) = tasks.join_next().await {
            asked.push(done??);
        }
        Ok(asked)
    }

    async fn ask(&self, edge: usize) -> Result<Asked> {
        let idle = || self.callers[edge].lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let mut caller = match kept {
            Some(caller) => caller,
            None => Caller::connect(self.edges[edge]).await?,
        };
        let sent = self.origin.elapsed();
        let status = caller.ask(&self.request).await?;
        let answered = self.origin.elapsed();
        idle().push(caller);
        Ok(Asked { sent, answered, status })
    }
}
