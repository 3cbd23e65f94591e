//! The job queue on a real database: what is enqueued, what the database itself does to jobs, and what a real
//! worker does.

mod enqueue;
mod fairness;
mod kills;
mod library;
mod mail;
mod mail_server;
mod repair;
mod retention;
mod runtime;
mod schedule;
mod settle;
mod twice;
mod worker;

use domain::clock::{Clock as _, SystemClock};
use domain::id::TenantId;
use domain::secret::Secret;
use harness::{Servers, TestDatabase};
use sqlx::PgConnection;
use store::Store;

/// A migrated database, and the API's view of it.
async fn api_store() -> (TestDatabase, Store) {
    store_as("pytake_api").await
}

/// A migrated database, and the view that a role has of it.
async fn store_as(role: &str) -> (TestDatabase, Store) {
    let database = Servers::shared().await.database().await;
    let url = Secret::new(database.url_as(role));
    let wait = std::time::Duration::from_secs(5);
    let store = Store::connect_lazy(&url, 6, wait).expect("a store");
    (database, store)
}

/// The statuses of all jobs, in the order in which they were added.
async fn statuses(admin: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar("SELECT status FROM apalis.jobs ORDER BY id")
        .fetch_all(admin)
        .await
        .expect("a query")
}

fn tenant_id() -> TenantId {
    TenantId::new(SystemClock.now(), [7; 10])
}
