//! Without the database: its connections cut and refused, as by a failover, for this test's database alone.

use std::time::Duration;

use harness::{App, AppOptions, TestDatabase, poll_async};
use sqlx::{Connection as _, Executor as _, PgConnection};

const BACK_WITHIN: Duration = Duration::from_secs(30);

async fn allow_connections(database: &TestDatabase, allowed: bool) {
    let name = database.name();
    let url = database.url().replace(name, "postgres");
    let mut connection = PgConnection::connect(&url).await.expect("the server's own database");
    let statement = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}");
    connection.execute(sqlx::AssertSqlSafe(statement)).await.expect("a statement");
    if !allowed {
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1")
            .bind(name)
            .execute(&mut connection)
            .await
            .expect("a statement");
    }
}

#[tokio::test]
async fn without_postgres_the_edge_decides_on_and_the_api_says_when_to_come_back() {
    let options =
        AppOptions { errors_expected: true, jobs_may_remain: true, ..AppOptions::default() };
    let app = App::start_with(options).await;
    let owner = app.tenant("acme", "Pro").await;
    let key = owner.api_key(&["usage.read"]).await;
    allow_connections(app.database(), false).await;

    let program = app.stranger().bearing(&key);
    let away = program.get("/api/v1/dashboard").await;
    assert_eq!(away.problem(), "503 overloaded");
    assert!(!away.header("retry-after").is_empty(), "{away:?}");
    // What the edge refuses, it refuses from memory.
    assert_eq!(program.get(&owner.path("/users")).await.problem(), "403 permission-denied");
    let unknown = app.stranger().bearing("pk_1234567890abcdef").get("/api/v1/dashboard").await;
    assert_eq!(unknown.problem(), "401 api-key-invalid");

    allow_connections(app.database(), true).await;
    let back = poll_async(BACK_WITHIN, async || {
        Some(program.get("/api/v1/dashboard").await).filter(|answer| answer.status == 200)
    });
    assert!(back.await.is_some(), "the API does not come back");
}

#[tokio::test]
async fn after_an_outage_the_edge_learns_of_changes_again() {
    let options =
        AppOptions { errors_expected: true, jobs_may_remain: true, ..AppOptions::default() };
    let app = App::start_with(options).await;
    let owner = app.tenant("acme", "Pro").await;
    allow_connections(app.database(), false).await;
    allow_connections(app.database(), true).await;
    let usable = poll_async(BACK_WITHIN, async || {
        let answer = owner.get("/api/v1/dashboard").await;
        (answer.status == 200).then_some(())
    });
    assert!(usable.await.is_some(), "the API does not come back");
    let key = owner.api_key(&["usage.read"]).await;
    let program = app.stranger().bearing(&key);
    let admitted = poll_async(BACK_WITHIN, async || {
        (program.get("/api/v1/dashboard").await.status == 200).then_some(())
    });
    assert!(admitted.await.is_some(), "the edge never learns of the key");
}
