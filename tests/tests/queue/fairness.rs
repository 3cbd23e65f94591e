//! A tenant with many jobs does not keep those of another waiting.

use std::collections::BTreeMap;

use harness::{Servers, TestDatabase};
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

const QUEUE: &str = "fair";

/// Adds jobs of a tenant that are due in so many seconds.
async fn add(admin: &mut PgConnection, tenant: u128, jobs: i32, in_seconds: i32) {
    let sql = "SELECT set_config('app.tenant_id', $2, true), apalis.enqueue_all(
            $1, array_fill('{}'::jsonb, ARRAY[$3]), 25,
            run_ats => array_fill(now() + make_interval(secs => $4), ARRAY[$3]))";
    sqlx::query(sql)
        .bind(QUEUE)
        .bind(Uuid::from_u128(tenant).to_string())
        .bind(jobs)
        .bind(in_seconds)
        .execute(admin)
        .await
        .expect("jobs");
}

/// What one fetch hands out, by tenant, to a worker that may hold so many jobs.
async fn fetch(admin: &mut PgConnection, slots: i32) -> BTreeMap<u128, i64> {
    let sql = "SELECT tenant_id, count(*) FROM apalis.get_jobs('w', $1, $2) GROUP BY 1";
    let rows = sqlx::query(sql).bind(QUEUE).bind(slots).fetch_all(admin).await.expect("a fetch");
    rows.iter().map(|row| (row.get::<Uuid, _>(0).as_u128(), row.get(1))).collect()
}

/// The worker has done all that it holds.
async fn finish(admin: &mut PgConnection) {
    let sql = "UPDATE apalis.jobs SET status = 'Done', done_at = now() WHERE status = 'Queued'";
    sqlx::query(sql).execute(admin).await.expect("an answer");
}

/// An empty queue with a worker.
async fn queue() -> (TestDatabase, PgConnection) {
    let database = Servers::shared().await.database().await;
    let mut admin = database.connect().await;
    let sql = "INSERT INTO apalis.workers (id, worker_type, storage_name) VALUES ('w', 'w', 'w')";
    sqlx::query(sql).execute(&mut admin).await.expect("a worker");
    (database, admin)
}

#[tokio::test]
async fn one_job_among_a_hundred_thousand_of_another_tenant_is_in_the_next_fetch() {
    let (_database, admin) = &mut queue().await;
    add(admin, 1, 100_000, 0).await;
    assert_eq!(fetch(admin, 8).await[&1], 6);
    // However long those take.
    add(admin, 2, 1, 0).await;
    assert_eq!(fetch(admin, 8).await, BTreeMap::from([(2, 1)]));
    assert_eq!(fetch(admin, 8).await, BTreeMap::new());
    finish(admin).await;
    // Three that have many share alike.
    add(admin, 2, 50, 0).await;
    add(admin, 3, 50, 0).await;
    assert_eq!(fetch(admin, 30).await, BTreeMap::from([(1, 10), (2, 10), (3, 10)]));
}

#[tokio::test]
async fn a_worker_is_handed_what_it_has_slots_for_and_no_more() {
    let (_database, admin) = &mut queue().await;
    for tenant in 1..=3 {
        add(admin, tenant, 10, 0).await;
    }
    assert_eq!(fetch(admin, 12).await.values().sum::<i64>(), 12);
    assert_eq!(fetch(admin, 12).await, BTreeMap::new());
    let one = "UPDATE apalis.jobs SET status = 'Done' WHERE id = (
        SELECT id FROM apalis.jobs WHERE status = 'Queued' LIMIT 1)";
    sqlx::query(one).execute(&mut *admin).await.expect("an answer");
    assert_eq!(fetch(admin, 12).await.values().sum::<i64>(), 1);
}

#[tokio::test]
async fn jobs_of_nobody_may_take_the_whole_worker() {
    let (_database, admin) = &mut queue().await;
    add(admin, 0, 10, 0).await;
    assert_eq!(fetch(admin, 8).await, BTreeMap::from([(0, 8)]));
}

#[tokio::test]
async fn more_tenants_than_a_fetch_has_places_all_have_their_turn() {
    let (_database, admin) = &mut queue().await;
    for tenant in 1..=40 {
        // Spread, as random ids are.
        add(admin, tenant << 120, 25, 0).await;
    }
    let mut served = BTreeMap::new();
    // Whose turn comes first is drawn anew by each fetch: whoever is left alone at the end gets no more than three
    // quarters of a worker, so a few more fetches than 125 full ones may be needed.
    for _ in 0..150 {
        for (tenant, jobs) in fetch(admin, 8).await {
            *served.entry(tenant).or_insert(0) += jobs;
        }
        finish(admin).await;
    }
    assert_eq!(served.len(), 40, "{served:?}");
    assert_eq!(served.values().sum::<i64>(), 1_000);
}

#[tokio::test]
async fn jobs_whose_time_has_not_come_are_no_hindrance_and_come_in_time() {
    let (_database, admin) = &mut queue().await;
    for tenant in 1..=60 {
        add(admin, tenant, 5, 3_600).await;
    }
    add(admin, 1_000, 2, 0).await;
    assert_eq!(fetch(admin, 8).await, BTreeMap::from([(1_000, 2)]));
    assert_eq!(fetch(admin, 8).await, BTreeMap::new());
    let sql = "UPDATE apalis.jobs SET run_at = now() WHERE tenant_id = $1 AND status = 'Pending'";
    sqlx::query(sql).bind(Uuid::from_u128(7)).execute(&mut *admin).await.expect("a jump in time");
    assert_eq!(fetch(admin, 8).await, BTreeMap::from([(7, 5)]));
}

#[tokio::test]
async fn what_is_urgent_comes_first_whoever_it_is_for() {
    let (_database, admin) = &mut queue().await;
    add(admin, 1, 100, 0).await;
    let urgent = "SELECT apalis.enqueue($1, '{}', 25, priority => 5)";
    sqlx::query(urgent).bind(QUEUE).execute(&mut *admin).await.expect("a job");
    assert_eq!(fetch(admin, 1).await, BTreeMap::from([(0, 1)]));
    finish(admin).await;
    // Though not all there is: a flood of what is urgent leaves a quarter.
    let many = "SELECT apalis.enqueue_all($1, array_fill('{}'::jsonb, ARRAY[100]), 25,
        priorities => array_fill(5, ARRAY[100]))";
    sqlx::query(many).bind(QUEUE).execute(&mut *admin).await.expect("jobs");
    assert_eq!(fetch(admin, 8).await, BTreeMap::from([(0, 6 + 1), (1, 1)]));
}
