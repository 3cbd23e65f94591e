//! What real worker processes do with jobs that take long, keep their thread, kill their process, or are in the way of a
//! stop; and what the database's end does to them.

use std::time::Duration;

use harness::trial_jobs::{Effect, Trial};
use harness::{FleetOptions, WorkerFleet, poll_async};
use jobs::catalog::Job;
use jobs::{Options, enqueue};
use sqlx::{PgConnection, Row as _};

/// How long anything may take that is on its way.
const BOUND: Duration = Duration::from_secs(40);
/// A job of the test's own that waits.
const WAITS: &str = "convert_from(job, 'UTF8') LIKE '%\"wait\"%'";
/// Longer than any test lasts.
const LONG: u64 = 600_000;

async fn fleet(processes: usize, arguments: &[&'static str], silence_seconds: u8) -> WorkerFleet {
    WorkerFleet::start(FleetOptions {
        processes,
        arguments: arguments.to_vec(),
        settings: vec![
            ("PYTAKE_WORKERS__SILENCE_SECONDS", silence_seconds.to_string()),
            ("PYTAKE_WORKERS__GRACE_PERIOD_SECONDS", "2".to_owned()),
            // Of a machine with one core, too.
            ("TOKIO_WORKER_THREADS", "4".to_owned()),
        ],
        ..FleetOptions::default()
    })
    .await
}

async fn add<J: Job>(fleet: &WorkerFleet, job: J) {
    let mut tx = fleet.store().control().await.expect("a transaction");
    enqueue(&mut tx, &job, Options::default()).await.expect("a job");
    tx.commit().await.expect("a commit");
}

/// Waits until `sql`, a condition, holds.
async fn until(fleet: &WorkerFleet, sql: &str) {
    let sql = format!("SELECT {sql}");
    let connection = tokio::sync::Mutex::new(fleet.admin().await);
    let held = poll_async(BOUND, async || {
        let sql = sqlx::AssertSqlSafe(sql.clone());
        let held = sqlx::query_scalar(sql).fetch_one(&mut *connection.lock().await).await;
        held.ok().filter(|held: &bool| *held)
    });
    if held.await.is_none() {
        // The test may hold the table itself.
        let mut connection = connection.lock().await;
        let jobs = tokio::time::timeout(Duration::from_secs(2), jobs(&mut connection)).await;
        panic!("not so in time: {sql}\n{jobs:#?}\n{}", fleet.log(0));
    }
}

/// Status, attempts and what failed of every job of the test's own, in the order in which they were added.
async fn jobs(admin: &mut PgConnection) -> Vec<(String, i32, String)> {
    let sql = "SELECT status, attempts, errors::text FROM apalis.jobs
        WHERE convert_from(job, 'UTF8') NOT LIKE '%\"number\": -%' ORDER BY id";
    let rows = sqlx::query(sql).fetch_all(admin).await.expect("jobs");
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

/// Status and attempts.
async fn states(fleet: &WorkerFleet) -> Vec<(String, i32)> {
    let jobs = jobs(&mut fleet.admin().await).await;
    jobs.into_iter().map(|(status, attempts, _)| (status, attempts)).collect()
}

const fn started(number: i64) -> &'static str {
    match number {
        1 => "EXISTS (SELECT FROM starts WHERE number = 1)",
        2 => "EXISTS (SELECT FROM starts WHERE number = 2)",
        _ => "EXISTS (SELECT FROM starts WHERE number = 3)",
    }
}

#[tokio::test]
async fn a_job_that_keeps_its_thread_does_not_keep_the_next_from_starting() {
    let fleet = fleet(1, &["--queues", "trial"], 30).await;
    add(&fleet, Trial::Block { number: 1, milliseconds: 4_000 }).await;
    until(&fleet, started(1)).await;
    add(&fleet, Trial::Note { number: 2 }).await;
    until(&fleet, started(2)).await;
    assert_eq!(states(&fleet).await[0].0, "Queued", "the first is still at it");
    until(&fleet, "NOT EXISTS (SELECT FROM apalis.jobs WHERE status = 'Queued')").await;
}

#[tokio::test]
async fn a_worker_with_all_slots_taken_lives_and_keeps_its_jobs() {
    // The second process would take them over, were the first silent.
    let mut fleet = fleet(1, &["--queues", "trial", "--concurrency", "2"], 1).await;
    for number in [1, 2] {
        add(&fleet, Trial::Wait { number, milliseconds: 5_000 }).await;
    }
    until(&fleet, "(SELECT count(*) FROM starts WHERE number > 0) = 2").await;
    fleet.add();
    fleet.ready(1).await;
    let done = format!("(SELECT count(*) FROM apalis.jobs WHERE status = 'Done' AND {WAITS}) = 2");
    until(&fleet, &done).await;
    let begun = "SELECT count(*) FROM starts WHERE number > 0";
    let begun: i64 = sqlx::query_scalar(begun).fetch_one(&mut fleet.admin().await).await.unwrap();
    assert_eq!(begun, 2, "each once");
}

#[tokio::test]
async fn what_a_killed_process_held_is_taken_over_by_another_once_it_is_silent() {
    let mut fleet = fleet(1, &["--queues", "effect"], 2).await;
    add(&fleet, Effect { number: 1, milliseconds: LONG }).await;
    until(&fleet, "EXISTS (SELECT FROM apalis.jobs WHERE status = 'Queued')").await;
    fleet.process(0).kill();
    fleet.add();
    fleet.ready(1).await;
    until(&fleet, "EXISTS (SELECT FROM apalis.jobs WHERE job_type = 'effect' AND attempts = 1)")
        .await;
    let taken = jobs(&mut fleet.admin().await).await;
    assert!(taken[0].2.contains("its worker was not heard of any more"), "{taken:?}");
    // And done by whoever lives, after its pause.
    until(&fleet, "EXISTS (SELECT FROM apalis.jobs WHERE status = 'Queued' AND attempts = 1)")
        .await;
}

#[tokio::test]
async fn a_job_that_kills_its_process_is_a_dead_letter_at_its_limit() {
    let mut fleet = fleet(1, &["--queues", "trial"], 1).await;
    add(&fleet, Trial::Abort { number: 1 }).await;
    for starts in 1..=3 {
        until(&fleet, &format!("(SELECT count(*) FROM starts WHERE number = 1) = {starts}")).await;
        // Killed, should it live still.
        fleet.process(0).kill();
        fleet.start_again(0);
    }
    until(&fleet, "EXISTS (SELECT FROM apalis.jobs WHERE status = 'Failed' AND attempts = 3)")
        .await;
    let dead = jobs(&mut fleet.admin().await).await;
    assert_eq!(dead[0].2.matches("its worker was not heard of").count(), 3, "{dead:?}");
}

#[tokio::test]
async fn a_stop_finishes_what_runs_and_hands_back_the_rest_without_an_attempt() {
    let mut fleet = fleet(1, &["--queues", "trial", "--concurrency", "1"], 30).await;
    add(&fleet, Trial::Wait { number: 1, milliseconds: 1_000 }).await;
    add(&fleet, Trial::Note { number: 2 }).await;
    until(&fleet, started(1)).await;
    let status = fleet.process(0).stop(BOUND).expect("it stops by itself");
    assert!(status.success(), "{status}");
    let left = states(&fleet).await;
    assert_eq!(left, [("Done".to_owned(), 1), ("Pending".to_owned(), 0)]);
}

#[tokio::test]
async fn a_stop_hands_back_what_outlasts_the_grace_period_and_another_does_it() {
    let mut fleet = fleet(1, &["--queues", "trial", "--concurrency", "1"], 30).await;
    add(&fleet, Trial::Wait { number: 1, milliseconds: LONG }).await;
    until(&fleet, started(1)).await;
    let status = fleet.process(0).stop(BOUND).expect("it stops by itself");
    assert!(status.success(), "{status}");
    assert_eq!(states(&fleet).await, [("Pending".to_owned(), 0)]);
    let workers = "NOT EXISTS (SELECT FROM apalis.workers)";
    until(&fleet, workers).await;
    fleet.start_again(0);
    until(&fleet, "(SELECT count(*) FROM starts WHERE number = 1) = 2").await;
}

#[tokio::test]
async fn after_a_database_error_the_process_goes_on_and_does_what_it_held() {
    let fleet = fleet(1, &["--queues", "trial"], 30).await;
    // Longer than it takes to cut the connection on a busy machine: what ends before would be cut itself.
    add(&fleet, Trial::Wait { number: 1, milliseconds: 12_000 }).await;
    until(&fleet, started(1)).await;
    // Held up in the midst of a statement, so that it is one of the library's own that is cut: whichever meets the lock
    // first. A worker that waits with another statement comes to no fetch, and ends by itself at the lock's timeout.
    let (mut holder, admin) = (fleet.admin().await, fleet.admin().await);
    let hold = "BEGIN; LOCK TABLE apalis.jobs IN ACCESS EXCLUSIVE MODE";
    sqlx::raw_sql(hold).execute(&mut holder).await.expect("a lock");
    // What it fetches, settles and takes over with.
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND usename = 'pytake_worker' AND wait_event_type = 'Lock'
            AND (query LIKE '%apalis.get_jobs(%' OR query LIKE 'WITH j AS%' OR query LIKE 'WITH stale AS%')";
    let (admin, cuts) = (tokio::sync::Mutex::new(admin), std::cell::Cell::new(0));
    let ended = poll_async(BOUND, async || {
        let done = sqlx::raw_sql(cut).execute(&mut *admin.lock().await).await.expect("an answer");
        cuts.set(cuts.get() + done.rows_affected());
        fleet.log(0).contains("another starts in").then_some(())
    });
    assert!(ended.await.is_some() && cuts.get() > 0, "{}", fleet.log(0));
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.expect("an answer");
    // Handed back when its attempt was over, long before the worker would be taken for dead.
    until(&fleet, &format!("EXISTS (SELECT FROM apalis.jobs WHERE status = 'Done' AND {WAITS})"))
        .await;
    assert_eq!(jobs(&mut fleet.admin().await).await, [("Done".to_owned(), 1, "[]".to_owned())]);
}

#[tokio::test]
async fn processes_with_the_same_schedule_add_each_tick_once_and_those_they_missed() {
    let mut fleet = fleet(3, &["--queues", "trial"], 30).await;
    until(&fleet, "(SELECT count(*) FROM starts WHERE number < 0) >= 3").await;
    for index in 0..3 {
        fleet.process(index).kill();
    }
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    for index in 0..3 {
        fleet.start_again(index);
    }
    until(&fleet, "(SELECT max(-number) - min(-number) FROM starts WHERE number < 0) >= 7").await;
    // Jobs rather than starts: what the killed held may start twice.
    let added = "SELECT array_agg((convert_from(job, 'UTF8')::jsonb #>> '{job,number}')::bigint ORDER BY id)
        FROM apalis.jobs WHERE job_type = 'trial'";
    let mut ticks: Vec<i64> =
        sqlx::query_scalar(added).fetch_one(&mut fleet.admin().await).await.expect("ticks");
    ticks.sort_unstable();
    assert!(ticks.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ticks:?}");
}

#[tokio::test]
async fn a_process_works_only_the_queues_it_was_given() {
    let fleet = fleet(1, &["--queues", "trial"], 30).await;
    add(&fleet, Effect { number: 1, milliseconds: 0 }).await;
    add(&fleet, Trial::Note { number: 1 }).await;
    until(&fleet, started(1)).await;
    assert_eq!(states(&fleet).await[0], ("Pending".to_owned(), 0));
    let metrics = fleet.operator(0).get("/metrics").await.expect(200).body;
    assert!(metrics.contains("pytake_job_attempts_started_total{queue=\"trial\"}"), "{metrics}");
    assert!(!metrics.contains("queue=\"effect\""), "{metrics}");
}
