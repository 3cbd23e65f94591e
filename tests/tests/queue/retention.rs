//! Nothing grows without bound: what ended is forgotten in time, and workers that vanished.

use std::time::Duration;

use jobs::queue::{Retention, forget, forget_workers};
use sqlx::PgConnection;

use super::store_as;

const KEPT: Retention =
    Retention { done: Duration::from_hours(24), dead: Duration::from_hours(24 * 30) };

async fn run(admin: &mut PgConnection, statements: &'static str) {
    sqlx::raw_sql(statements).execute(admin).await.expect("the database answers");
}

#[tokio::test]
async fn jobs_that_ended_are_forgotten_in_batches_and_no_others() {
    let (database, store) = store_as("pytake_worker").await;
    let mut admin = database.connect().await;
    run(
        &mut admin,
        "SELECT apalis.enqueue_all('email', array_fill('{}'::jsonb, ARRAY[4500]), 3);
         UPDATE apalis.jobs SET status = 'Done', done_at = now() - interval '25 hours';
         SELECT apalis.enqueue_all('email', array_fill('{}'::jsonb, ARRAY[6]), 3);
         UPDATE apalis.jobs SET priority = 1 WHERE status = 'Pending';
         CREATE TEMP TABLE six AS SELECT id, row_number() OVER () AS n FROM apalis.jobs WHERE priority = 1;
         UPDATE apalis.jobs SET status = 'Done', done_at = now() - interval '23 hours'
             FROM six WHERE six.id = jobs.id AND n = 1;
         UPDATE apalis.jobs SET status = 'Failed', attempts = 3, done_at = now() - interval '29 days'
             FROM six WHERE six.id = jobs.id AND n = 2;
         UPDATE apalis.jobs SET status = 'Killed', done_at = now() - interval '29 days'
             FROM six WHERE six.id = jobs.id AND n = 3;
         -- Failed, and to be tried again: however old, it is no dead letter.
         UPDATE apalis.jobs SET status = 'Failed', attempts = 2, done_at = now() - interval '40 days'
             FROM six WHERE six.id = jobs.id AND n = 4;
         UPDATE apalis.jobs SET status = 'Killed', done_at = now() - interval '31 days'
             FROM six WHERE six.id = jobs.id AND n = 5;",
    )
    .await;
    let pool = store.pool();
    let mut rounds = 0;
    while forget(pool, "email", KEPT).await.expect("an answer") {
        rounds += 1;
    }
    assert_eq!(rounds, 2, "two whole batches, and what was left");
    let sql = "SELECT status FROM apalis.jobs ORDER BY status";
    let left: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut admin).await.unwrap();
    assert_eq!(left, ["Done", "Failed", "Failed", "Killed", "Pending"]);
    assert!(!forget(pool, "usage", KEPT).await.expect("an answer"));
}

#[tokio::test]
async fn workers_that_vanished_are_forgotten_once_they_hold_nothing() {
    let (database, store) = store_as("pytake_worker").await;
    let mut admin = database.connect().await;
    run(
        &mut admin,
        "INSERT INTO apalis.workers (id, worker_type, storage_name, last_seen) VALUES
             ('gone', 'email', '', now() - interval '1 day'),
             ('gone but holding', 'email', '', now() - interval '1 day'),
             ('here', 'email', '', now());
         SELECT apalis.enqueue('email', '{}', 3);
         SELECT apalis.get_jobs('gone but holding', 'email', 1);",
    )
    .await;
    assert_eq!(forget_workers(store.pool()).await.expect("an answer"), 1);
    let sql = "SELECT id FROM apalis.workers ORDER BY id";
    let left: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut admin).await.unwrap();
    assert_eq!(left, ["gone but holding", "here"]);
}
