//! Facts and jobs commit together, or not at all.

use domain::clock::{Clock as _, SystemClock};
use domain::id::UserId;
use jobs::catalog::SendEmail;
use jobs::{Enqueued, Options, enqueue_all};
use sqlx::postgres::PgListener;

use super::{api_store, statuses, tenant_id};

fn job() -> SendEmail {
    SendEmail::VerifyEmail { user_id: UserId::new(SystemClock.now(), [1; 10]), generation: 1 }
}

#[tokio::test]
async fn rolled_back_means_never_sent() {
    let (database, store) = api_store().await;
    let mut admin = database.connect().await;

    let mut tx = store.control().await.unwrap();
    jobs::enqueue(&mut tx, &job(), Options::default()).await.unwrap();
    drop(tx);
    assert!(statuses(&mut admin).await.is_empty());

    let mut tx = store.control().await.unwrap();
    jobs::enqueue(&mut tx, &job(), Options::default()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(statuses(&mut admin).await, ["Pending"]);
}

#[tokio::test]
async fn a_second_job_under_one_key_is_not_added_and_costs_nothing_else() {
    let (database, store) = api_store().await;
    let mut admin = database.connect().await;
    let keyed = Options { idempotency_key: Some("once".to_owned()), ..Options::default() };

    let mut tx = store.control().await.unwrap();
    assert_eq!(jobs::enqueue(&mut tx, &job(), keyed.clone()).await.unwrap(), Enqueued::New);
    assert_eq!(jobs::enqueue(&mut tx, &job(), keyed).await.unwrap(), Enqueued::Duplicate);
    // The transaction goes on as if nothing had been refused.
    assert_eq!(jobs::enqueue(&mut tx, &job(), Options::default()).await.unwrap(), Enqueued::New);
    tx.commit().await.unwrap();

    assert_eq!(statuses(&mut admin).await.len(), 2);
}

#[tokio::test]
async fn the_job_carries_the_tenant_of_its_transaction() {
    let (database, store) = api_store().await;
    let mut admin = database.connect().await;
    let tenant_id = tenant_id();

    let mut tx = store.begin(tenant_id).await.unwrap();
    jobs::enqueue(&mut tx, &job(), Options::default()).await.unwrap();
    tx.commit().await.unwrap();

    let noted: String = sqlx::query_scalar("SELECT metadata -> 'tenant_id' FROM apalis.jobs")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    assert_eq!(noted, tenant_id.as_uuid().to_string());
}

#[tokio::test]
async fn the_api_may_add_jobs_and_not_read_them() {
    let (database, _store) = api_store().await;
    let mut api = database.connect_as("pytake_api").await;
    for statement in ["SELECT * FROM apalis.jobs", "SELECT * FROM apalis.get_jobs('w', 'email', 1)"]
    {
        let refused = sqlx::query(statement).execute(&mut api).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{refused}");
    }
}

#[tokio::test]
async fn many_jobs_are_added_at_once_each_with_its_own_time_priority_key_and_trace() {
    let (database, store) = api_store().await;
    let mut admin = database.connect().await;
    let (now, tenant_id) = (SystemClock.now(), tenant_id());
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let keyed = |key: &str| Options { idempotency_key: Some(key.to_owned()), ..Options::default() };
    let job = job();
    let mut jobs = vec![
        (&job, keyed("a")),
        (&job, keyed("a")),
        (&job, Options { priority: 7, ..keyed("b") }),
        (
            &job,
            Options {
                run_at: Some(now + jiff::SignedDuration::from_hours(1)),
                ..Options::default()
            },
        ),
        (&job, Options { traceparent: Some(trace.to_owned()), ..Options::default() }),
    ];
    jobs.extend((0..2_500).map(|_| (&job, Options::default())));

    let mut tx = store.begin(tenant_id).await.unwrap();
    assert_eq!(enqueue_all(&mut tx, &jobs).await.unwrap(), 2_504);
    assert_eq!(enqueue_all(&mut tx, &jobs[..3]).await.unwrap(), 0);
    tx.commit().await.unwrap();

    let sql = "SELECT count(*) FILTER (WHERE idempotency_key = 'a'),
            count(*) FILTER (WHERE idempotency_key = 'b' AND priority = 7),
            count(*) FILTER (WHERE NOT due AND run_at = $1),
            count(*) FILTER (WHERE metadata -> 'traceparent' = $2),
            count(*) FILTER (WHERE tenant_id = $3 AND metadata -> 'tenant_id' = tenant_id::text),
            count(DISTINCT id)
        FROM apalis.jobs";
    let counts: (i64, i64, i64, i64, i64, i64) = sqlx::query_as(sql)
        .bind(jiff_sqlx::ToSqlx::to_sqlx(jobs[3].1.run_at.unwrap()))
        .bind(trace)
        .bind(tenant_id.as_uuid())
        .fetch_one(&mut admin)
        .await
        .unwrap();
    assert_eq!(counts, (1, 1, 1, 1, 2_504, 2_504));
}

#[tokio::test]
async fn one_commit_wakes_the_workers_of_a_queue_once_however_many_jobs_it_adds() {
    let (database, store) = api_store().await;
    let mut listener = PgListener::connect(&database.url()).await.unwrap();
    listener.listen("apalis_jobs").await.unwrap();
    let job = job();

    let mut tx = store.control().await.unwrap();
    enqueue_all(&mut tx, &vec![(&job, Options::default()); 100]).await.unwrap();
    jobs::enqueue(&mut tx, &job, Options::default()).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.control().await.unwrap();
    jobs::enqueue(&mut tx, &jobs::catalog::Usage::Check, Options::default()).await.unwrap();
    tx.commit().await.unwrap();

    let mut woken = Vec::new();
    while woken.last().is_none_or(|queue| queue != "usage") {
        woken.push(listener.recv().await.unwrap().payload().to_owned());
    }
    assert_eq!(woken, ["email", "usage"]);
}
