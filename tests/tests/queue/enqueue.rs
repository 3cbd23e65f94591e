//! Facts and jobs commit together, or not at all.

use domain::clock::{Clock as _, SystemClock};
use domain::id::UserId;
use jobs::catalog::SendEmail;
use jobs::{Enqueued, Options};

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
    let keyed = Options { idempotency_key: Some("once"), ..Options::default() };

    let mut tx = store.control().await.unwrap();
    assert_eq!(jobs::enqueue(&mut tx, &job(), keyed).await.unwrap(), Enqueued::New);
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
