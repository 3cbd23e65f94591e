//! How long a tenant's job waits while another tenant has a hundred thousand that take a second each: one process, whose
//! slots those fill as far as they are let.

use std::time::Duration;

use anyhow::{Context as _, Result};
use domain::clock::{Clock as _, SystemClock};
use domain::id::TenantId;
use harness::trial_jobs::Trial;
use harness::{FleetOptions, WorkerFleet, poll_async};
use jobs::{Options, enqueue, enqueue_all};
use sqlx::Row as _;
use uuid::Uuid;

use crate::bench::Length;
use crate::bench::figures::{Bar, Figure};

const CROWD: i64 = 100_000;
const EACH: Duration = Duration::from_millis(250);
const STARTED_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn measure(length: Length) -> Result<Vec<Figure>> {
    let jobs: i64 = if length == Length::Quick { 40 } else { 120 };
    let fleet = WorkerFleet::start(FleetOptions {
        processes: 1,
        arguments: vec!["--queues", "trial"],
        own_postgres: true,
        ..FleetOptions::default()
    })
    .await;
    let [crowd, other] = [1, 2].map(|number| TenantId::from_uuid(Uuid::from_u128(number << 64)));
    let many: Vec<_> = (0..CROWD)
        .map(|number| Trial::Wait { number: CROWD + number, milliseconds: 1_000 })
        .collect();
    let many: Vec<_> = many.iter().map(|job| (job, Options::default())).collect();
    let mut tx = fleet.store().begin(crowd).await?;
    enqueue_all(&mut tx, &many).await?;
    tx.commit().await?;
    let mut committed = Vec::new();
    for number in 0..jobs {
        tokio::time::sleep(EACH).await;
        let mut tx = fleet.store().begin(other).await?;
        enqueue(&mut tx, &Trial::Note { number }, Options::default()).await?;
        tx.commit().await?;
        committed.push(SystemClock.now());
    }
    let connection = tokio::sync::Mutex::new(fleet.admin().await);
    let sql = "SELECT number, (extract(epoch FROM min(at)) * 1000000)::bigint
        FROM starts WHERE number BETWEEN 0 AND $1 GROUP BY number ORDER BY number";
    let started = poll_async(STARTED_WITHIN, async || {
        let query = sqlx::query(sql).bind(jobs - 1);
        let rows = query.fetch_all(&mut *connection.lock().await).await.ok()?;
        (rows.len() == committed.len()).then_some(rows)
    });
    let started = started.await.context("the other tenant's jobs are not started in time")?;
    let waits = started.iter().zip(&committed).map(|(row, committed)| {
        (row.get::<i64, _>(1) - committed.as_microsecond()).max(0) as f64 / 1_000.0
    });
    let worst = waits.fold(0.0, f64::max);
    Ok(vec![Figure {
        name: "start_latency_beside_a_crowd_max_ms",
        value: worst,
        bar: Bar::Below(1_000.0),
    }])
}
