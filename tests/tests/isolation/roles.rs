//! What the roles are and may do: application roles own nothing and bypass nothing.

use expect_test::expect;
use harness::Servers;

use crate::catalogue::CONTROL_TABLES;

const APPLICATION_ROLES: &str = "'pytake_api', 'pytake_worker', 'pytake_edge', 'pytake_operator'";

async fn find(query: String) -> Vec<String> {
    let database = Servers::shared().await.database().await;
    sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .fetch_all(&mut database.connect().await)
        .await
        .expect("a query of the catalogue")
}

#[tokio::test]
async fn no_role_of_ours_is_a_superuser_or_bypasses_policies() {
    let found = find(
        "SELECT rolname::text FROM pg_roles
         WHERE rolname LIKE 'pytake\\_%'
             AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)"
            .to_owned(),
    );
    assert!(found.await.is_empty());
}

#[tokio::test]
async fn only_the_programs_roles_and_the_operators_may_log_in() {
    let found = find(
        "SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'pytake\\_%' AND rolcanlogin ORDER BY 1"
            .to_owned(),
    );
    assert_eq!(found.await, ["pytake_api", "pytake_edge", "pytake_operator", "pytake_worker"]);
}

#[tokio::test]
async fn the_programs_roles_own_nothing_and_are_members_of_nothing() {
    let found = find(format!(
        "SELECT rolname || ' owns ' || relname
         FROM pg_class JOIN pg_roles ON pg_roles.oid = relowner WHERE rolname IN ({APPLICATION_ROLES})
         UNION ALL
         SELECT rolname || ' owns ' || proname
         FROM pg_proc JOIN pg_roles ON pg_roles.oid = proowner WHERE rolname IN ({APPLICATION_ROLES})
         UNION ALL
         SELECT rolname || ' owns schema ' || nspname
         FROM pg_namespace JOIN pg_roles ON pg_roles.oid = nspowner WHERE rolname IN ({APPLICATION_ROLES})
         UNION ALL
         SELECT rolname || ' is a member of ' || roleid::regrole
         FROM pg_auth_members JOIN pg_roles ON pg_roles.oid = member
         WHERE rolname IN ({APPLICATION_ROLES})"
    ));
    let found = found.await;
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn no_programs_role_may_empty_a_table_or_hang_triggers_on_it() {
    let found = find(format!(
        "SELECT grantee || ' ' || privilege_type || ' ' || table_name
         FROM information_schema.role_table_grants
         WHERE grantee IN ({APPLICATION_ROLES}, 'PUBLIC')
             AND privilege_type IN ('TRUNCATE', 'TRIGGER', 'REFERENCES')
             AND table_schema NOT IN ('pg_catalog', 'information_schema')"
    ));
    let found = found.await;
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn no_programs_role_may_create_objects() {
    let found = find(format!(
        "SELECT rolname || ' in ' || nspname
         FROM pg_roles, pg_namespace
         WHERE rolname IN ({APPLICATION_ROLES})
             AND nspname NOT LIKE 'pg\\_%'
             AND has_schema_privilege(rolname, nspname, 'CREATE')"
    ));
    let found = found.await;
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn every_programs_role_has_time_limits() {
    let found = find(format!(
        "SELECT rolname::text FROM pg_roles
         WHERE rolname IN ({APPLICATION_ROLES})
             AND NOT (array_to_string(rolconfig, ' ') LIKE '%statement_timeout=%'
                 AND array_to_string(rolconfig, ' ') LIKE '%idle_in_transaction_session_timeout=%')"
    ));
    assert!(found.await.is_empty());
}

/// Who may touch what is not one tenant's: a change here is a change of trust, to be reviewed as one.
#[tokio::test]
async fn the_control_tables_are_open_to_these_roles_only() {
    let control = CONTROL_TABLES.map(|name| format!("'{name}'")).join(", ");
    let found = find(format!(
        "SELECT table_name || ': ' || string_agg(grantee || ' ' || privileges, ', ' ORDER BY grantee)
         FROM (
             SELECT table_name, grantee, string_agg(privilege_type, '+' ORDER BY privilege_type) AS privileges
             FROM information_schema.role_table_grants
             WHERE table_schema = 'public' AND grantee LIKE 'pytake\\_%' AND grantee <> 'pytake_owner'
                 AND table_name IN ({control})
             GROUP BY table_name, grantee
         ) AS grants
         GROUP BY table_name
         ORDER BY table_name"
    ));
    expect![[r#"
        [
            "audit_keys: pytake_worker SELECT",
            "audit_unplaced: pytake_api INSERT+SELECT, pytake_worker DELETE+INSERT+SELECT",
            "bank_entries: pytake_billing SELECT, pytake_operator INSERT+SELECT, pytake_worker INSERT+SELECT",
            "bank_statements: pytake_operator INSERT+SELECT, pytake_worker INSERT+SELECT",
            "coupons: pytake_api SELECT, pytake_worker SELECT",
            "document_series: pytake_api INSERT+SELECT+UPDATE, pytake_operator INSERT+SELECT+UPDATE, pytake_worker INSERT+SELECT+UPDATE",
            "idempotency_keys: pytake_api INSERT+SELECT+UPDATE, pytake_operator INSERT+SELECT+UPDATE, pytake_worker DELETE+SELECT",
            "login_attempts: pytake_api DELETE+INSERT+SELECT+UPDATE",
            "meters: pytake_api SELECT, pytake_rollup SELECT, pytake_worker SELECT",
            "operator_events: pytake_operator INSERT+SELECT, pytake_worker INSERT",
            "plan_charges: pytake_api SELECT, pytake_worker SELECT",
            "plan_prices: pytake_api SELECT, pytake_worker SELECT",
            "plan_versions: pytake_api SELECT, pytake_edge_views SELECT, pytake_worker SELECT",
            "platform_credentials: pytake_api SELECT, pytake_operator SELECT",
            "platform_data_keys: pytake_api SELECT, pytake_worker SELECT",
            "policy_changes: pytake_edge_views SELECT",
            "policy_feed: pytake_edge_views SELECT",
            "provider_events: pytake_api INSERT, pytake_worker DELETE+SELECT",
            "reconciliation_differences: pytake_operator SELECT, pytake_worker INSERT+SELECT+UPDATE",
            "reconciliations: pytake_operator SELECT, pytake_worker INSERT+SELECT+UPDATE",
            "refresh_tokens: pytake_api DELETE+INSERT+SELECT+UPDATE",
            "sessions: pytake_api DELETE+INSERT+SELECT+UPDATE",
            "signing_keys: pytake_api SELECT",
            "usage_batch_rows: pytake_rollup INSERT+SELECT",
            "usage_batches: pytake_rollup INSERT+SELECT+UPDATE",
            "usage_dirty: pytake_rollup DELETE+INSERT+SELECT",
            "usage_discrepancies: pytake_rollup INSERT+SELECT",
            "usage_edges: pytake_rollup INSERT+SELECT+UPDATE",
            "usage_event_ids: pytake_rollup INSERT+SELECT",
            "usage_labels: pytake_rollup INSERT+SELECT",
            "users: pytake_api DELETE+INSERT+SELECT+UPDATE",
        ]
    "#]]
    .assert_debug_eq(&found.await);
}

#[tokio::test]
async fn nobody_may_change_or_remove_an_audit_event() {
    let found = find(
        "SELECT grantee || ' ' || privilege_type FROM information_schema.role_table_grants
         WHERE table_name IN ('audit_events', 'operator_events') AND grantee <> 'pytake_owner'
             AND privilege_type NOT IN ('SELECT', 'INSERT')"
            .to_owned(),
    );
    assert!(found.await.is_empty());
}
