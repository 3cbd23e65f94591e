//! What happens to a job that its worker lets go of: the pause grows, the limit holds, and handing back is
//! no attempt. The library itself would run a failed job again at once, and a poisonous one for ever.

use jobs::Options;
use jobs::catalog::SendEmail;
use sqlx::PgConnection;

use super::api_store;
use domain::id::UserId;

/// One job, held by a worker.
async fn held_job(admin: &mut PgConnection, store: &store::Store) {
    let user_id = UserId::from_uuid(uuid::Uuid::from_u128(1));
    let mut tx = store.control().await.expect("the database answers");
    let job = SendEmail::VerifyEmail { user_id, generation: 1 };
    jobs::enqueue(&mut tx, &job, Options::default()).await.expect("the database answers");
    tx.commit().await.expect("the database answers");
    run(
        admin,
        "INSERT INTO apalis.workers (id, worker_type, storage_name) VALUES ('w', 'email', 'x');
         UPDATE apalis.jobs SET max_attempts = 3",
    )
    .await;
    take(admin).await;
}

async fn run(admin: &mut PgConnection, statements: &'static str) {
    sqlx::raw_sql(statements).execute(admin).await.expect("the database answers");
}

async fn take(admin: &mut PgConnection) {
    run(admin, "UPDATE apalis.jobs SET run_at = now() - interval '1 second'").await;
    run(admin, "SELECT apalis.get_jobs('w', 'email', 10)").await;
}

/// Status, attempts, and the seconds until the job may run.
async fn job(admin: &mut PgConnection) -> (String, i32, f64) {
    sqlx::query_as(
        "SELECT status, attempts, extract(epoch FROM run_at - now())::float8 FROM apalis.jobs",
    )
    .fetch_one(admin)
    .await
    .expect("the database answers")
}

#[tokio::test]
async fn a_failed_job_waits_longer_each_time_and_is_dead_at_its_limit() {
    let (database, store) = api_store().await;
    let mut admin = database.connect().await;
    held_job(&mut admin, &store).await;

    let mut waits = Vec::new();
    for attempt in 1..=3 {
        run(
            &mut admin,
            "UPDATE apalis.jobs SET status = 'Failed', attempts = attempts + 1,
                last_result = '{\"Err\": \"no\"}'",
        )
        .await;
        let (status, attempts, wait) = job(&mut admin).await;
        assert_eq!((status.as_str(), attempts), ("Failed", attempt));
        waits.push(wait);
        run(&mut admin, "UPDATE apalis.jobs SET run_at = now() - interval '1 second'").await;
        let taken: i64 =
            sqlx::query_scalar("SELECT count(*) FROM apalis.get_jobs('w', 'email', 1)")
                .fetch_one(&mut admin)
                .await
                .expect("the database answers");
        assert_eq!(taken, i64::from(attempt < 3), "a dead letter is not handed out");
    }
    assert!((0.5..1.3).contains(&waits[0]), "{waits:?}");
    assert!((1.4..2.5).contains(&waits[1]), "{waits:?}");
}

#[tokio::test]
async fn a_job_that_kills_its_worker_is_dead_at_its_limit_too() {
    let (database, store) = api_store().await;
    let mut admin = database.connect().await;
    held_job(&mut admin, &store).await;

    // What the library does for the jobs of a worker that vanished.
    for _ in 0..3 {
        run(&mut admin, "UPDATE apalis.jobs SET status = 'Pending', attempts = attempts + 1").await;
        take(&mut admin).await;
    }
    let (status, attempts, _) = job(&mut admin).await;
    assert_eq!((status.as_str(), attempts), ("Failed", 3));
}

#[tokio::test]
async fn a_job_that_is_handed_back_before_it_began_was_not_attempted() {
    let (database, store) = api_store().await;
    let mut admin = database.connect().await;
    held_job(&mut admin, &store).await;

    run(
        &mut admin,
        "UPDATE apalis.jobs SET status = 'Pending', attempts = attempts + 1,
            last_result = '{\"Err\": \"Re-enqueued due to worker shutdown\"}'",
    )
    .await;
    let (status, attempts, wait) = job(&mut admin).await;
    assert_eq!((status.as_str(), attempts), ("Pending", 0));
    assert!(wait <= 0.0, "it may run at once");
}
