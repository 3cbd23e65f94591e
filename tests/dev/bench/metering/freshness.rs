//! How old usage is when a tenant sees it: from the moment a caller has its answer until the usage API says so.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use harness::{App, AppOptions, Owner, routes_with};

use crate::bench::caller::Caller;
use crate::bench::figures::{Bar, Figure};
use crate::bench::{Length, load};

const ROUTE: &str = r#"{ methods = ["GET"], path = "/bench", upstream = "mine", auth = "key", tenant = "required", permission = "ViewUsage", meter = "messages" },"#;
const EACH: Duration = Duration::from_millis(5);
const LOOKED_EACH: Duration = Duration::from_millis(50);

pub(super) async fn measure(length: Length) -> Result<Vec<Figure>> {
    let requests = if length == Length::Quick { 2_000 } else { 24_000 };
    let folder = tempfile::tempdir()?;
    let upstream = load::start_upstream().await?;
    let pool = format!("upstreams.mine = {{ peers = [\"{upstream}\"] }}");
    let app = App::start_with(AppOptions {
        settings: vec![
            ("PYTAKE_EDGE__ROUTES_FILE", routes_with(folder.path(), &pool, ROUTE)),
            ("PYTAKE_EDGE__ACCESS_LOG_PER_MILLION", "0".to_owned()),
        ],
        own_postgres: true,
        jobs_may_remain: true,
        ..AppOptions::default()
    })
    .await;
    let owner = app.tenant("acme", "Enterprise").await;
    let no_limits =
        "UPDATE plan_versions SET api_calls_per_minute = 1000000000, messages_per_month = NULL";
    sqlx::raw_sql(no_limits).execute(&mut app.database().connect().await).await?;
    let key = owner.api_key(&["usage.read"]).await;
    let calling = tokio::spawn(call(app.url(), key, requests));
    let seen = look(&owner, requests).await?;
    let answered = calling.await??;

    let mut ages: Vec<_> = answered
        .iter()
        .zip(1..)
        .filter_map(|(answered, number)| {
            let shown = seen.iter().find(|(_, used)| *used >= number)?.0;
            Some(shown.saturating_duration_since(*answered).as_secs_f64())
        })
        .collect();
    ages.sort_by(f64::total_cmp);
    let at =
        |percent: usize| ages.get(ages.len() * percent / 100).copied().unwrap_or(f64::INFINITY);
    Ok(vec![
        Figure { name: "freshness_p50_s", value: at(50), bar: Bar::None },
        Figure { name: "freshness_p99_s", value: at(99), bar: Bar::Below(10.0) },
    ])
}

/// When each request was answered.
async fn call(url: String, key: String, requests: u64) -> Result<Vec<Instant>> {
    let address = url.strip_prefix("http://").context("no address")?.parse()?;
    let mut caller = Caller::connect(address).await?;
    let request =
        format!("GET /bench HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n");
    let mut answered = Vec::new();
    let mut due = Instant::now();
    for _ in 0..requests {
        while caller.ask(&request).await? != 200 {
            // A key that the edge does not know yet.
            tokio::time::sleep(EACH).await;
        }
        answered.push(Instant::now());
        due += EACH;
        tokio::time::sleep_until(due.into()).await;
    }
    Ok(answered)
}

/// What the usage API said, and when, until it says all.
async fn look(owner: &Owner, requests: u64) -> Result<Vec<(Instant, u64)>> {
    let mut seen = Vec::new();
    let most = Instant::now() + EACH * u32::try_from(requests)? * 2 + Duration::from_secs(60);
    while Instant::now() < most {
        let usage = owner.get(&owner.path("/usage")).await.expect(200).json();
        let meters = usage["meters"].as_array().context("no meters")?;
        let messages = meters.iter().find(|meter| meter["meter"] == "messages");
        let used = messages.and_then(|meter| meter["used"].as_u64()).unwrap_or(0);
        seen.push((Instant::now(), used));
        if used >= requests {
            break;
        }
        tokio::time::sleep(LOOKED_EACH).await;
    }
    Ok(seen)
}
