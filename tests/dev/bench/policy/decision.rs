//! What a decision costs among a million keys, and how long it takes to know them all.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use credentials::api_key::{ApiKey, Pepper};
use domain::clock::{Clock as _, SystemClock};
use domain::host::HostName;
use domain::secret::Secret;
use feed::{Feed, Sources};
use policy::hosts::PlatformHosts;
use policy::routes::RouteTable;
use policy::{Decision, HeaderFact, Policy, RequestFacts, Site};

use super::crowd;
use crate::bench::allocations;
use crate::bench::figures::{Bar, Figure, median};

const LOAD_WITHIN: Duration = Duration::from_secs(120);
const DECISIONS: u64 = 200_000;
const ROUTES: &str = r#"upstreams.app = { peers = ["127.0.0.1:1"] }
routes = [
  { methods = ["GET"], path = "/bench", upstream = "app", auth = "any", tenant = "required", permission = "ViewUsage" },
  { methods = ["GET"], path = "/api/v1/tenants/{tenant_id}/usage", upstream = "app", auth = "any", tenant = "required", permission = "ViewUsage" },
]"#;

/// Loads from the database and then from disk, and decides.
pub(super) async fn measure(url: String, pepper: Pepper, folder: &Path) -> Result<Vec<Figure>> {
    let site = Arc::new(Site {
        hosts: PlatformHosts::new("api.localhost".parse()?, ["localhost".parse()?]),
        routes: RouteTable::parse("bench", ROUTES)?,
        peppers: vec![pepper],
        token_issuer: "pytake".to_owned(),
        token_audience: "pytake-api".to_owned(),
    });
    let (policy, from_postgres) = load(&url, folder, &site).await?;
    let mut figures = decisions(&policy)?;
    drop(policy);
    // Nobody listens there: what comes, comes from disk.
    let (_, from_disk) = load("postgres://127.0.0.1:1/none", folder, &site).await?;
    figures.push(Figure {
        name: "policy_load_postgres_s",
        value: from_postgres.as_secs_f64(),
        bar: Bar::Below(10.0),
    });
    figures.push(Figure {
        name: "policy_load_snapshot_s",
        value: from_disk.as_secs_f64(),
        bar: Bar::Below(3.0),
    });
    Ok(figures)
}

/// The first policy of a feed and how long it took; waits until it is on disk.
async fn load(url: &str, folder: &Path, site: &Arc<Site>) -> Result<(Policy, Duration)> {
    let feed = Arc::new(Feed::new(Sources {
        url: Secret::new(url.to_owned()),
        folder: folder.to_owned(),
        stale_after: LOAD_WITHIN,
        clock: Arc::new(SystemClock),
        observer: Box::new(|_| {}),
    }));
    let mut latest = feed.subscribe();
    let began = Instant::now();
    feed.restore(Arc::clone(site));
    let (running, at) = (Arc::clone(&feed), Arc::clone(site));
    let task = tokio::spawn(async move { running.run(at).await });
    let first = tokio::time::timeout(LOAD_WITHIN, latest.wait_for(Option::is_some)).await;
    let took = began.elapsed();
    let policy = first.context("no policy in time")??.as_ref().map(|loaded| loaded.policy.clone());
    while !folder.join("policy").exists() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    task.abort();
    let _ = task.await;
    Ok((policy.context("no policy")?, took))
}

fn decisions(policy: &Policy) -> Result<Vec<Figure>> {
    let known = crowd::KEYS / DECISIONS;
    let known = (0..DECISIONS).map(|number| crowd::key(number * known));
    let unknown = (0..DECISIONS).map(|number| crowd::key(crowd::KEYS + number));
    let (allow, allocations) = ask(policy, known, true)?;
    let (deny, _) = ask(policy, unknown, false)?;
    let figure = |name, value, bar| Figure { name, value, bar };
    Ok(vec![
        figure("decide_allow_p50_ns", allow, Bar::Below(1_000.0)),
        figure("decide_unknown_key_p50_ns", deny, Bar::Below(400.0)),
        figure("decide_allow_allocations", allocations, Bar::AtMost(0.0)),
    ])
}

/// The median of single decisions, the clock's own time taken off, and allocations per decision.
fn ask(policy: &Policy, keys: impl Iterator<Item = ApiKey>, allowed: bool) -> Result<(f64, f64)> {
    let host: HostName = "localhost".parse()?;
    let now = SystemClock.now();
    let headers: Vec<String> = keys.map(|key| format!("Bearer {}", key.expose())).collect();
    let mut nanos = Vec::with_capacity(headers.len());
    let (mut wrong, mut clock) = (0_u64, Vec::with_capacity(headers.len()));
    let asked = allocations::during(|| {
        for header in &headers {
            let facts = RequestFacts {
                host: &host,
                method: "GET",
                path: "/bench",
                authorization: HeaderFact::Value(header),
                api_key: HeaderFact::Absent,
                tenant: HeaderFact::Absent,
                client_address: [127, 0, 0, 1].into(),
                remembered: None,
            };
            let began = Instant::now();
            let decision = policy::decide(policy, &facts, now);
            let decided = Instant::now();
            nanos.push(decided.duration_since(began).as_nanos() as f64);
            clock.push(decided.elapsed().as_nanos() as f64);
            wrong += u64::from(matches!(decision, Decision::Allow(_)) != allowed);
        }
    });
    if wrong > 0 {
        bail!("{wrong} decisions were wrong");
    }
    Ok((median(&nanos) - median(&clock), asked as f64 / headers.len() as f64))
}
