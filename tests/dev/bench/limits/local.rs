//! One edge's limiter in this process: what a decision from leases costs, and how often Redis is asked.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use harness::{RedisServer, poll_async};
use limits::{CellKey, Demand, Demands, Limiter, Mode, Rule, Server, take};

use crate::bench::Length;
use crate::bench::figures::{Bar, Figure, median};

const CONNECTED_WITHIN: Duration = Duration::from_secs(10);
/// So many that no lease runs dry while a decision is timed.
const PLENTY: u32 = 50_000_000;
const DECISIONS: usize = 300_000;
/// Of the busy tenant.
const BUSY_PER_MINUTE: u32 = 10_000;

pub(super) async fn measure(length: Length) -> Result<Vec<Figure>> {
    let home = tempfile::tempdir()?;
    let redis = RedisServer::start(home.path(), &home.path().join("redis.log"))?;
    let limiter = Arc::new(Limiter::new("bench:", "bench".to_owned(), 1));
    let (running, server) = (Arc::clone(&limiter), Server::parse(&redis.url())?);
    // On a thread of its own, as an edge has it.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            runtime.block_on(running.run(server, std::future::pending()));
        }
    });
    let leasing = async || (limiter.mode() == Mode::Leasing).then_some(());
    poll_async(CONNECTED_WITHIN, leasing).await.context("the limiter does not connect")?;

    let one = [calls(1, PLENTY), None, None, None, None];
    let key = demand(CellKey::api_key(1), Rule::PerMinute(count(PLENTY)));
    let slots = demand(CellKey::concurrency(1), Rule::Concurrent(count(1_000)));
    let three = [None, key, calls(1, PLENTY), slots, None];
    let bar = Bar::Below(200.0);
    // First, while nobody else's leases are given back.
    let questions = questions(&limiter, &redis, length).await?;
    Ok(vec![
        Figure { name: "take_local_p50_ns", value: nanos(&limiter, one).await?, bar },
        Figure {
            name: "take_three_local_p50_ns",
            value: nanos(&limiter, three).await?,
            bar: Bar::None,
        },
        Figure {
            name: "redis_commands_per_1000_requests",
            value: questions,
            bar: Bar::Below(10.0),
        },
    ])
}

/// The median decision of one tenant. What the clock itself costs is taken off.
async fn nanos(limiter: &Limiter, demands: Demands) -> Result<f64> {
    // Leases grow while they are spent, and live for a second.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_500) {
        let _ = take(limiter, &demands).await;
    }
    let mut timed = Vec::new();
    let mut clock = Vec::new();
    for _ in 0..DECISIONS {
        let start = Instant::now();
        let (verdict, in_progress) = take(limiter, &demands).await;
        drop(in_progress);
        timed.push(start.elapsed().as_nanos() as f64);
        if verdict.refusal.is_some() {
            bail!("refused while there is plenty");
        }
        let start = Instant::now();
        clock.push(start.elapsed().as_nanos() as f64);
    }
    Ok(median(&timed) - median(&clock))
}

/// Questions asked of Redis for each thousand requests of a tenant that makes as many calls as it may.
async fn questions(limiter: &Limiter, redis: &RedisServer, length: Length) -> Result<f64> {
    let secs = if length == Length::Quick { 10 } else { 60 };
    let id = u128::MAX;
    let slots = demand(CellKey::concurrency(id), Rule::Concurrent(count(100)));
    let demands = [None, None, calls(id, BUSY_PER_MINUTE), slots, None];
    let total = u64::from(BUSY_PER_MINUTE) * secs / 60;
    let (began, before) = (Instant::now(), scripts_run(redis).await?);
    let mut refused = 0;
    for sent in 0..total {
        let due = Duration::from_secs_f64(sent as f64 * 60.0 / f64::from(BUSY_PER_MINUTE));
        tokio::time::sleep_until((began + due).into()).await;
        refused += u64::from(take(limiter, &demands).await.0.refusal.is_some());
    }
    if refused > 0 {
        bail!("{refused} requests within the limit were refused");
    }
    // One heartbeat a second is the edge's, whatever its tenants do.
    let asked = scripts_run(redis).await? - before - began.elapsed().as_secs_f64();
    Ok(asked.max(0.0) * 1_000.0 / total as f64)
}

/// Scripts that Redis has run.
async fn scripts_run(redis: &RedisServer) -> Result<f64> {
    let mut connection =
        redis::Client::open(redis.url())?.get_multiplexed_async_connection().await?;
    let stats: String = redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await?;
    let calls = |name: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(name))?;
        line.strip_prefix(":calls=")?.split(',').next()?.parse::<f64>().ok()
    };
    Ok(calls("cmdstat_evalsha").unwrap_or(0.0) + calls("cmdstat_eval").unwrap_or(0.0))
}

fn calls(id: u128, per_minute: u32) -> Option<Demand> {
    demand(CellKey::tenant(id), Rule::PerMinute(count(per_minute)))
}

fn demand(key: CellKey, rule: Rule) -> Option<Demand> {
    Some(Demand { key, rule, cost: NonZeroU32::MIN, shadow: false })
}

fn count(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}
