//! How soon a job starts after its commit: one every sixty milliseconds for a minute, while four processes idle.

use std::time::Duration;

use anyhow::{Context as _, Result};
use domain::clock::{Clock as _, SystemClock};
use harness::trial_jobs::Trial;
use harness::{FleetOptions, WorkerFleet, poll_async};
use jiff::Timestamp;
use jobs::{Options, enqueue};
use sqlx::Row as _;

use crate::bench::Length;
use crate::bench::figures::{Bar, Figure};

const EACH: Duration = Duration::from_millis(60);
const STARTED_WITHIN: Duration = Duration::from_secs(30);

pub(super) async fn measure(length: Length) -> Result<Vec<Figure>> {
    let lasts = Duration::from_secs(if length == Length::Quick { 10 } else { 60 });
    let jobs = lasts.as_millis() / EACH.as_millis();
    let fleet = WorkerFleet::start(FleetOptions {
        processes: 4,
        own_postgres: true,
        ..FleetOptions::default()
    })
    .await;
    let mut committed: Vec<Timestamp> = Vec::new();
    let mut next = tokio::time::interval(EACH);
    for number in 0..i64::try_from(jobs)? {
        next.tick().await;
        let mut tx = fleet.store().control().await?;
        enqueue(&mut tx, &Trial::Note { number }, Options::default()).await?;
        tx.commit().await?;
        committed.push(SystemClock.now());
    }
    let connection = tokio::sync::Mutex::new(fleet.admin().await);
    let sql = "SELECT number, (extract(epoch FROM min(at)) * 1000000)::bigint
        FROM starts WHERE number >= 0 GROUP BY number ORDER BY number";
    let started = poll_async(STARTED_WITHIN, async || {
        let rows = sqlx::query(sql).fetch_all(&mut *connection.lock().await).await.ok()?;
        (rows.len() == committed.len()).then_some(rows)
    });
    let started = started.await.context("not all jobs are started in time")?;
    let mut waits: Vec<f64> = started
        .iter()
        .zip(&committed)
        .map(|(row, committed)| {
            let started: i64 = row.get(1);
            // Before the caller heard of the commit: at once.
            (started - committed.as_microsecond()).max(0) as f64 / 1_000.0
        })
        .collect();
    waits.sort_by(f64::total_cmp);
    let at = |percent: usize| waits.get(waits.len() * percent / 100).copied();
    let at = |percent| at(percent).unwrap_or(f64::INFINITY);
    let max = waits.last().copied().unwrap_or(f64::INFINITY);
    Ok(vec![
        Figure { name: "start_latency_p50_ms", value: at(50), bar: Bar::Below(15.0) },
        Figure { name: "start_latency_p99_ms", value: at(99), bar: Bar::Below(300.0) },
        Figure { name: "start_latency_max_ms", value: max, bar: Bar::Below(1_000.0) },
    ])
}
