//! Jobs in: batches of a thousand in a transaction each, from two callers. Jobs done: four processes, from the commit of
//! all jobs until the last is done. On a Postgres that keeps what it says it keeps.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use harness::trial_jobs::NoOp;
use harness::{FleetOptions, WorkerFleet, poll_async};
use jobs::{Options, enqueue_all};
use store::Store;
use tokio::task::JoinSet;

use crate::bench::Length;
use crate::bench::figures::{Bar, Figure};
use crate::say;

const PROCESSES: usize = 4;
const CALLERS: usize = 2;
const BATCH: usize = 1_000;
const DONE_WITHIN: Duration = Duration::from_secs(300);

pub(super) async fn measure(length: Length) -> Result<Vec<Figure>> {
    let jobs = if length == Length::Quick { 100_000 } else { 400_000 };
    let mut fleet = WorkerFleet::start(FleetOptions {
        processes: 0,
        arguments: vec!["--queues", "noop", "--concurrency", "256"],
        own_postgres: true,
        ..FleetOptions::default()
    })
    .await;
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(enqueue(fleet.store().clone(), jobs / CALLERS));
    }
    while let Some(outcome) = callers.join_next().await {
        outcome??;
    }
    let enqueued = began.elapsed();

    let mut admin = fleet.admin().await;
    // Held back until all processes are ready.
    let later = "UPDATE apalis.jobs SET run_at = now() + interval '1 hour', due = false";
    sqlx::raw_sql(later).execute(&mut admin).await?;
    for index in 0..PROCESSES {
        fleet.add();
        fleet.ready(index).await;
    }
    sqlx::raw_sql("VACUUM ANALYZE apalis.jobs").execute(&mut admin).await?;
    let now = "UPDATE apalis.jobs SET run_at = now(), due = true";
    sqlx::raw_sql(now).execute(&mut admin).await?;
    let began = Instant::now();
    let connection = tokio::sync::Mutex::new(admin);
    let left =
        "SELECT EXISTS (SELECT FROM apalis.jobs WHERE job_type = 'noop' AND status <> 'Done')";
    let done = poll_async(DONE_WITHIN, async || {
        let left: bool =
            sqlx::query_scalar(left).fetch_one(&mut *connection.lock().await).await.ok()?;
        (!left).then_some(())
    });
    done.await.context("the jobs are not done in time")?;
    let done = began.elapsed();
    say::note(&format!("{jobs} jobs were enqueued in {enqueued:?} and done in {done:?}"));
    Ok(vec![
        Figure {
            name: "jobs_per_s",
            value: jobs as f64 / done.as_secs_f64(),
            bar: Bar::AtLeast(10_000.0),
        },
        Figure {
            name: "enqueue_per_s",
            value: jobs as f64 / enqueued.as_secs_f64(),
            bar: Bar::AtLeast(25_000.0),
        },
    ])
}

async fn enqueue(store: Store, jobs: usize) -> Result<()> {
    let job = NoOp {};
    let batch = vec![(&job, Options::default()); BATCH];
    for _ in 0..jobs / BATCH {
        let mut tx = store.control().await?;
        enqueue_all(&mut tx, &batch).await?;
        tx.commit().await?;
    }
    Ok(())
}
