//! What the database itself refuses, whatever the query says.

use harness::{Servers, TestDatabase};
use sqlx::{Connection as _, Executor as _, PgConnection};

const MINE: &str = "00000000-0000-7000-8000-000000000001";
const OTHERS: &str = "00000000-0000-7000-8000-000000000002";

/// A database with two tenants in it, each with an allowlist.
async fn two_tenants() -> TestDatabase {
    let database = Servers::shared().await.database().await;
    let mut connection = database.connect().await;
    for (id, subdomain) in [(MINE, "mine"), (OTHERS, "others")] {
        let rows = format!(
            "INSERT INTO tenants (id, name, subdomain, status, created_at, updated_at)
             VALUES ('{id}', '{subdomain}', '{subdomain}', 'Active', now(), now());
             INSERT INTO ip_allowlists (tenant_id, networks, updated_at)
             VALUES ('{id}', '{{10.0.0.0/8}}', now());"
        );
        connection.execute(sqlx::AssertSqlSafe(rows)).await.expect("two tenants");
    }
    connection.close().await.expect("a clean end");
    database
}

async fn as_tenant(connection: &mut PgConnection, id: &str) {
    sqlx::query("SELECT set_config('app.tenant_id', $1, false)")
        .bind(id)
        .execute(connection)
        .await
        .expect("the setting");
}

async fn subdomains(connection: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar("SELECT subdomain FROM tenants ORDER BY 1")
        .fetch_all(connection)
        .await
        .expect("a query")
}

#[tokio::test]
async fn a_query_without_a_filter_finds_only_the_rows_of_its_tenant() {
    let database = two_tenants().await;
    for role in ["pytake_api", "pytake_worker"] {
        let mut connection = database.connect_as(role).await;
        as_tenant(&mut connection, MINE).await;
        assert_eq!(subdomains(&mut connection).await, ["mine"], "{role}");
        as_tenant(&mut connection, OTHERS).await;
        assert_eq!(subdomains(&mut connection).await, ["others"], "{role}");
    }
}

#[tokio::test]
async fn without_a_tenant_every_tenant_table_is_empty() {
    let database = two_tenants().await;
    let mut connection = database.connect_as("pytake_api").await;
    assert!(subdomains(&mut connection).await.is_empty());
    // After a transaction that had set it, the setting is '' rather than unset.
    as_tenant(&mut connection, "").await;
    assert!(subdomains(&mut connection).await.is_empty());
}

#[tokio::test]
async fn a_row_of_another_tenant_can_neither_be_written_nor_taken_over() {
    let database = two_tenants().await;
    let mut connection = database.connect_as("pytake_api").await;
    as_tenant(&mut connection, MINE).await;

    let insert = format!(
        "INSERT INTO audit_events (tenant_id, id, at, actor_kind, action, target)
         VALUES ('{OTHERS}', '{MINE}', now(), 'System', 'x', 'y')"
    );
    let error = connection.execute(sqlx::AssertSqlSafe(insert)).await.expect_err("refused");
    assert!(error.to_string().contains("row-level security"), "{error}");

    let update = format!("UPDATE ip_allowlists SET networks = '{{}}' WHERE tenant_id = '{OTHERS}'");
    let outcome = connection.execute(sqlx::AssertSqlSafe(update)).await.expect("a statement");
    assert_eq!(outcome.rows_affected(), 0);

    let give_away = format!("UPDATE ip_allowlists SET tenant_id = '{OTHERS}'");
    let error = connection.execute(sqlx::AssertSqlSafe(give_away)).await.expect_err("refused");
    assert!(error.to_string().contains("row-level security"), "{error}");
}

#[tokio::test]
async fn the_edge_reads_its_views_and_no_table() {
    let database = two_tenants().await;
    let mut connection = database.connect_as("pytake_edge").await;
    for table in ["tenants", "users", "api_keys", "policy_changes"] {
        let query = format!("SELECT count(*) FROM public.{table}");
        let error = connection.execute(sqlx::AssertSqlSafe(query)).await.expect_err("refused");
        assert!(error.to_string().contains("permission denied"), "{table}: {error}");
    }
    sqlx::query("SELECT id FROM edge.tenants").execute(&mut connection).await.expect("the view");
    let error = connection.execute("DELETE FROM edge.memberships").await.expect_err("refused");
    assert!(error.to_string().contains("permission denied"), "{error}");
}

#[tokio::test]
async fn no_programs_role_becomes_another() {
    let database = two_tenants().await;
    for role in ["pytake_api", "pytake_worker", "pytake_edge"] {
        let mut connection = database.connect_as(role).await;
        for other in ["pytake_owner", "pytake_edge_views", "pytake_directory", "postgres"] {
            let statement = format!("SET ROLE {other}");
            let outcome = connection.execute(sqlx::AssertSqlSafe(statement)).await;
            assert!(outcome.is_err(), "{role} became {other}");
        }
    }
}
