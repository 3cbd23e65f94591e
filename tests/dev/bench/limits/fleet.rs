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
/// Connections of a tenant to an edge while it spends its burst.
const BURST_CONNECTIONS: usize = 4;
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

/// The load of one tenant: its burst at once, then evenly paced, over all edges in turn.
async fn offer(
    edges: Vec<SocketAddr>,
    tenant: Tenant,
    place: usize,
    multiple: f64,
    lasts: Duration,
) -> Result<Run> {
    let request: Arc<str> = tenant.request.as_str().into();
    let origin = Instant::now();
    let mut asked = burst(&edges, &request, tenant.limit, origin).await?;
    let steady_from = origin.elapsed();
    let callers: Arc<[Mutex<Vec<Caller>>]> = edges.iter().map(|_| Mutex::default()).collect();
    let interval = 60.0 / (f64::from(tenant.limit) * multiple);
    let (start, mut tasks) = (Instant::now(), JoinSet::new());
    let mut number = 0_u64;
    loop {
        // Tenants do not tick together.
        let due = Duration::from_secs_f64((number as f64 + place as f64 / 10.0) * interval);
        if due >= lasts {
            break;
        }
        tokio::time::sleep_until((start + due).into()).await;
        if start.elapsed() > due + LATE_MAX {
            bail!("the load falls behind; the machine is too busy to measure");
        }
        let turn = usize::try_from(number).unwrap_or_default() % edges.len();
        let (edge, request, callers) = (edges[turn], Arc::clone(&request), Arc::clone(&callers));
        tasks.spawn(async move {
            let idle = callers[turn].lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut caller = match idle {
                Some(caller) => caller,
                None => Caller::connect(edge).await?,
            };
            let asked = ask(&mut caller, &request, origin).await?;
            callers[turn].lock().unwrap_or_else(PoisonError::into_inner).push(caller);
            anyhow::Ok(asked)
        });
        while let Some(done) = tasks.try_join_next() {
            asked.push(done??);
        }
        number += 1;
    }
    while let Some(done) = tasks.join_next().await {
        asked.push(done??);
    }
    Ok(Run::new(tenant.limit, asked, steady_from))
}

/// As many requests as the limit, as fast as they are answered.
async fn burst(
    edges: &[SocketAddr],
    request: &Arc<str>,
    limit: u32,
    origin: Instant,
) -> Result<Vec<Asked>> {
    let left = Arc::new(Mutex::new(limit));
    let mut tasks = JoinSet::new();
    for edge in edges.iter().cycle().take(edges.len() * BURST_CONNECTIONS).copied() {
        let (left, request) = (Arc::clone(&left), Arc::clone(request));
        tasks.spawn(async move {
            let mut caller = Caller::connect(edge).await?;
            let mut asked = Vec::new();
            let take_one = || {
                let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
                let some = *left > 0;
                *left = left.saturating_sub(1);
                some
            };
            while take_one() {
                asked.push(ask(&mut caller, &request, origin).await?);
            }
            anyhow::Ok(asked)
        });
    }
    let mut asked = Vec::new();
    while let Some(done) = tasks.join_next().await {
        asked.extend(done??);
    }
    Ok(asked)
}

async fn ask(caller: &mut Caller, request: &str, origin: Instant) -> Result<Asked> {
    let sent = origin.elapsed();
    let status = caller.ask(request).await?;
    Ok(Asked { sent, answered: origin.elapsed(), status })
}
