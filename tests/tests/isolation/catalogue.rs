//! Reads the system catalogue, so that a migration that forgets a rule fails here, whatever its table is.

use harness::{Servers, TestDatabase};

/// Tables without row-level security, each for a reason that its migration states.
pub(crate) const CONTROL_TABLES: [&str; 31] = [
    "audit_keys",
    "audit_unplaced",
    "bank_entries",
    "bank_statements",
    "coupons",
    "document_series",
    "idempotency_keys",
    "login_attempts",
    "meters",
    "operator_events",
    "plan_charges",
    "plan_prices",
    "plan_versions",
    "platform_credentials",
    "platform_data_keys",
    "policy_changes",
    "policy_feed",
    "provider_events",
    "reconciliation_differences",
    "reconciliations",
    "refresh_tokens",
    "sessions",
    "signing_keys",
    "usage_batch_rows",
    "usage_batches",
    "usage_dirty",
    "usage_discrepancies",
    "usage_edges",
    "usage_event_ids",
    "usage_labels",
    "users",
];
/// Own what crosses tenants; nobody can log in as them.
const CROSSING_ROLES: [&str; 5] =
    ["pytake_billing", "pytake_directory", "pytake_dispatch", "pytake_edge_views", "pytake_rollup"];

/// Tables of ours, partitions included; the migrations' own bookkeeping and apalis' schema are not.
const OURS: &str = "
    SELECT pg_class.oid, pg_class.relname
    FROM pg_class
    JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
    WHERE pg_class.relkind IN ('r', 'p')
        AND pg_namespace.nspname NOT IN ('pg_catalog', 'information_schema', 'apalis')
        AND pg_namespace.nspname NOT LIKE 'pg\\_%'
        AND pg_class.relname <> '_sqlx_migrations'";

// What each rule of a tenant table finds to be wrong.
const WITHOUT_TENANT: &str = "SELECT relname::text FROM tenant_tables
     WHERE NOT EXISTS (
         SELECT FROM pg_attribute
         WHERE attrelid = tenant_tables.oid AND attname = key
             AND attnotnull AND atttypid = 'uuid'::regtype)";
const WITHOUT_SECURITY: &str = "SELECT tenant_tables.relname::text
     FROM tenant_tables JOIN pg_class ON pg_class.oid = tenant_tables.oid
     WHERE NOT (relrowsecurity AND relforcerowsecurity)";
const WITHOUT_POLICY: &str = "SELECT tenant_tables.relname || ': ' || coalesce(
            qual || ' / ' || with_check || ' / ' || cmd || ' / ' || roles::text, 'no policy')
     FROM tenant_tables
     LEFT JOIN pg_policies
         ON tablename = tenant_tables.relname AND policyname = 'tenant_isolation'
     WHERE qual IS DISTINCT FROM format(
             $$(%I = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS \"nullif\"))$$,
             key)
         OR with_check IS DISTINCT FROM qual
         OR cmd <> 'ALL'
         OR permissive <> 'PERMISSIVE'
         OR roles <> '{pytake_api,pytake_worker}'";
const INDEX_NOT_LED: &str = "SELECT indexrelid::regclass::text
     FROM pg_index
     JOIN tenant_tables ON tenant_tables.oid = indrelid
     -- Left: an index led by an expression has no such column.
     LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
     WHERE attname IS DISTINCT FROM key
         -- Global uniqueness is the point of a subdomain and of numbers in a series of books; the others serve the
         -- functions that cross tenants.
         AND indexrelid::regclass::text NOT IN
             ('tenants_subdomain_unique', 'memberships_of_user', 'invitations_by_id',
                'webhook_deliveries_later', 'invoices_number_unique', 'credit_notes_number_unique',
                'subscriptions_due', 'subscriptions_trials', 'invoices_due', 'invoices_due_on',
                'invoices_by_reference', 'payment_methods_expiring', 'charges_under_way', 'disputes_open', 'refunds_under_way',
                'dunning_cases_due')";
const KEY_NOT_LED: &str = "SELECT relname::text FROM tenant_tables
     WHERE NOT EXISTS (
         SELECT FROM pg_constraint
         JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
         WHERE conrelid = tenant_tables.oid AND contype = 'p' AND attname = key)";
const REFERENCE_WITHOUT_TENANT: &str = "SELECT conname::text
     FROM pg_constraint
     JOIN tenant_tables AS child ON child.oid = conrelid
     JOIN tenant_tables AS parent ON parent.oid = confrelid
     JOIN pg_attribute AS own ON own.attrelid = conrelid AND own.attnum = conkey[1]
     JOIN pg_attribute AS other ON other.attrelid = confrelid AND other.attnum = confkey[1]
     WHERE contype = 'f' AND (own.attname <> child.key OR other.attname <> parent.key)";

async fn database() -> TestDatabase {
    Servers::shared().await.database().await
}

/// What a query with one text column finds. `ours`, `tenant_tables` and `key` (the column that names a
/// table's tenant) may be used in it.
async fn find(query: impl AsRef<str>) -> Vec<String> {
    find_in(&database().await, query.as_ref()).await
}

async fn find_in(database: &TestDatabase, query: &str) -> Vec<String> {
    let control = CONTROL_TABLES.map(|name| format!("'{name}'")).join(", ");
    let whole = format!(
        "WITH ours AS ({OURS}), tenant_tables AS (
            SELECT
                ours.oid,
                ours.relname,
                CASE ours.relname WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END AS key
            FROM ours
            WHERE ours.relname NOT IN ({control})
                -- A partition is as its table.
                AND NOT EXISTS (
                    SELECT FROM pg_inherits
                    WHERE inhrelid = ours.oid AND inhparent::regclass::text IN ({control}))
        )
        {}",
        query
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(whole))
        .fetch_all(&mut database.connect().await)
        .await
        .expect("a query of the catalogue")
}

#[track_caller]
fn none(found: &[String]) {
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn the_list_of_control_tables_names_only_tables_that_are_there() {
    let tables = find("SELECT relname::text FROM ours").await;
    let gone: Vec<_> =
        CONTROL_TABLES.iter().filter(|name| !tables.iter().any(|t| t == *name)).collect();
    assert!(gone.is_empty(), "{gone:?}");
    assert!(tables.len() > CONTROL_TABLES.len());
}

#[tokio::test]
async fn every_other_table_names_its_tenant_in_a_column_that_cannot_be_null() {
    none(&find(WITHOUT_TENANT).await);
}

#[tokio::test]
async fn every_tenant_table_has_row_level_security_enabled_and_forced() {
    none(&find(WITHOUT_SECURITY).await);
}

#[tokio::test]
async fn every_tenant_table_has_the_one_policy_for_reading_and_writing() {
    none(&find(WITHOUT_POLICY).await);
}

/// The rules themselves, tried: a table that forgets all of them is found by each.
#[tokio::test]
async fn a_table_that_forgets_the_rules_is_found_by_every_one_of_them() {
    let database = database().await;
    let forgetful = "
        CREATE TABLE forgetful_a (id uuid PRIMARY KEY, tenant_id uuid);
        CREATE TABLE forgetful_b (
            id uuid PRIMARY KEY, tenant_id uuid NOT NULL, a uuid REFERENCES forgetful_a (id), name text);
        CREATE INDEX forgetful_by_name ON forgetful_b (lower(name));
        CREATE VIEW forgetful_view AS SELECT * FROM forgetful_b;";
    sqlx::raw_sql(forgetful).execute(&mut database.connect().await).await.expect("tables");
    let cases = [
        (WITHOUT_TENANT, vec!["forgetful_a"]),
        (WITHOUT_SECURITY, vec!["forgetful_a", "forgetful_b"]),
        (WITHOUT_POLICY, vec!["forgetful_a: no policy", "forgetful_b: no policy"]),
        (INDEX_NOT_LED, vec!["forgetful_a_pkey", "forgetful_b_pkey", "forgetful_by_name"]),
        (KEY_NOT_LED, vec!["forgetful_a", "forgetful_b"]),
        (REFERENCE_WITHOUT_TENANT, vec!["forgetful_b_a_fkey"]),
    ];
    for (rule, expected) in cases {
        let mut found = find_in(&database, rule).await;
        found.sort();
        assert_eq!(found, expected, "{rule}");
    }
}

#[tokio::test]
async fn any_other_policy_lets_a_crossing_role_read_or_one_of_two_write() {
    let crossing = CROSSING_ROLES.map(|role| format!("'{role}'")).join(", ");
    let found = find(format!(
        "SELECT tablename || ': ' || policyname || ' ' || cmd || ' ' || roles::text
         FROM pg_policies
         WHERE policyname <> 'tenant_isolation'
             AND schemaname NOT IN ('apalis')
             AND NOT (cmd = 'SELECT' AND qual = 'true' AND with_check IS NULL
                 AND roles <@ ARRAY[{crossing}]::name[])
             -- What was counted is of many tenants, and written by what rolls it up, which nobody can log in as.
             AND NOT (policyname = 'rollup_writes' AND roles = '{{pytake_rollup}}'
                 AND tablename IN ('usage_hours', 'usage_uniques', 'usage_days', 'usage_periods', 'api_key_uses'))
             -- A run of billing locks rows of many tenants, and changes none.
             AND NOT (policyname = 'billing_runs' AND roles = '{{pytake_billing}}' AND with_check = 'false'
                 AND tablename IN ('subscriptions', 'invoices', 'dunning_cases', 'payment_methods'))
             -- Operators act on one tenant at a time, as the API does.
             AND NOT (policyname = 'operator_acts' AND roles = '{{pytake_operator}}'
                 AND qual = format(
                     $$(%I = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS \"nullif\"))$$,
                     CASE tablename WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END)
                 AND coalesce(with_check, qual) = qual)
             -- What is under way to endpoints is handed out and settled over all tenants.
             AND NOT (policyname = 'dispatch_writes' AND roles = '{{pytake_dispatch}}'
                 AND tablename IN ('webhook_lanes', 'webhook_deliveries', 'webhook_attempts'))"
    ));
    none(&found.await);
}

#[tokio::test]
async fn every_index_of_a_tenant_table_is_led_by_the_tenant() {
    none(&find(INDEX_NOT_LED).await);
}

#[tokio::test]
async fn every_tenant_tables_primary_key_begins_with_the_tenant() {
    none(&find(KEY_NOT_LED).await);
}

#[tokio::test]
async fn every_reference_between_tenant_tables_carries_the_tenant() {
    none(&find(REFERENCE_WITHOUT_TENANT).await);
}

#[tokio::test]
async fn there_is_no_materialized_view() {
    none(&find("SELECT matviewname::text FROM pg_matviews").await);
}

#[tokio::test]
async fn a_view_reads_as_its_caller_or_belongs_to_a_crossing_role() {
    let crossing = CROSSING_ROLES.map(|role| format!("'{role}'")).join(", ");
    let found = find(format!(
        "SELECT pg_class.oid::regclass::text || ' of ' || rolname
         FROM pg_class
         JOIN pg_namespace ON pg_namespace.oid = relnamespace
         JOIN pg_roles ON pg_roles.oid = relowner
         WHERE relkind = 'v'
             AND nspname NOT IN ('pg_catalog', 'information_schema')
             AND rolname NOT IN ({crossing})
             AND NOT coalesce(reloptions @> ARRAY['security_invoker=true'], false)"
    ));
    none(&found.await);
}

/// No code path can forget to tell the edges: whatever a view of theirs reads has the feed's trigger.
#[tokio::test]
async fn every_table_that_the_edge_reads_records_its_changes() {
    let found = find(
        "SELECT DISTINCT pg_class.relname::text
         FROM pg_rewrite
         JOIN pg_class AS views ON views.oid = ev_class
         JOIN pg_depend ON pg_depend.objid = pg_rewrite.oid AND refclassid = 'pg_class'::regclass
         JOIN pg_class ON pg_class.oid = refobjid AND pg_class.relkind IN ('r', 'p')
         WHERE views.relnamespace = 'edge'::regnamespace
             AND pg_class.relnamespace = 'public'::regnamespace
             AND pg_class.relname NOT IN ('policy_changes', 'policy_feed')
             AND (SELECT count(*) FROM pg_trigger
                 WHERE tgrelid = pg_class.oid AND tgname IN ('policy_feed', 'policy_feed_emptied')) <> 2",
    );
    none(&found.await);
}

#[tokio::test]
async fn functions_that_run_as_their_owner_are_the_listed_ones_with_a_pinned_path() {
    let found = find(
        "SELECT proname || ' of ' || rolname || ' ' || coalesce(array_to_string(proconfig, ' '), 'no search_path')
         FROM pg_proc
         JOIN pg_namespace ON pg_namespace.oid = pronamespace
         JOIN pg_roles ON pg_roles.oid = proowner
         WHERE prosecdef AND nspname NOT IN ('pg_catalog', 'information_schema')
         ORDER BY 1",
    );
    expect_test::expect![[r#"
        [
            "billing_standing of pytake_billing search_path=pg_catalog, public",
            "check_usage of pytake_rollup search_path=pg_catalog, public work_mem=128MB enable_nestloop=off",
            "enqueue_all of pytake_owner search_path=pg_catalog, public",
            "failing_webhook_endpoints of pytake_dispatch search_path=pg_catalog, public",
            "fold_usage of pytake_rollup search_path=pg_catalog, public work_mem=128MB",
            "forget_policy_changes of pytake_owner search_path=pg_catalog, public",
            "invoices_of_reference of pytake_billing search_path=pg_catalog, public",
            "keep_up_usage of pytake_owner search_path=pg_catalog, public",
            "lease_webhooks of pytake_dispatch search_path=pg_catalog, public enable_seqscan=off enable_bitmapscan=off",
            "lock_due_drafts of pytake_billing search_path=pg_catalog, public",
            "lock_due_dunning of pytake_billing search_path=pg_catalog, public",
            "lock_due_reminders of pytake_billing search_path=pg_catalog, public",
            "lock_due_subscriptions of pytake_billing search_path=pg_catalog, public",
            "lock_ending_trials of pytake_billing search_path=pg_catalog, public",
            "lock_expiring_methods of pytake_billing search_path=pg_catalog, public",
            "open_disputes of pytake_billing search_path=pg_catalog, public",
            "open_invoices_of_payer of pytake_billing search_path=pg_catalog, public",
            "overdue_tenants of pytake_billing search_path=pg_catalog, public",
            "parked_subscriptions of pytake_billing search_path=pg_catalog, public",
            "pay_as_you_go_tenants of pytake_billing search_path=pg_catalog, public",
            "receivables of pytake_billing search_path=pg_catalog, public plan_cache_mode=force_custom_plan work_mem=128MB jit=off",
            "record_policy_change of pytake_owner search_path=pg_catalog, public",
            "recorded_movements of pytake_billing search_path=pg_catalog, public",
            "recurring_revenue of pytake_billing search_path=pg_catalog, public",
            "recurring_subscriptions of pytake_billing search_path=pg_catalog, public",
            "release_webhooks of pytake_dispatch search_path=pg_catalog, public enable_seqscan=off",
            "report_usage of pytake_rollup search_path=pg_catalog, public",
            "revenue_by_day of pytake_billing search_path=pg_catalog, public",
            "revenue_by_plan of pytake_billing search_path=pg_catalog, public plan_cache_mode=force_custom_plan work_mem=128MB jit=off",
            "revenue_kept of pytake_billing search_path=pg_catalog, public",
            "settle_usage of pytake_rollup search_path=pg_catalog, public work_mem=64MB",
            "settle_webhooks of pytake_dispatch search_path=pg_catalog, public enable_seqscan=off enable_bitmapscan=off",
            "submit_usage of pytake_rollup search_path=pg_catalog, public",
            "submit_usage_events of pytake_rollup search_path=pg_catalog, public",
            "submit_webhook_calls of pytake_rollup search_path=pg_catalog, public",
            "tenant_of_invitation of pytake_directory search_path=pg_catalog, public",
            "tenants_of_user of pytake_directory search_path=pg_catalog, public",
            "trials of pytake_billing search_path=pg_catalog, public",
            "unsettled_charges of pytake_billing search_path=pg_catalog, public",
            "unsettled_refunds of pytake_billing search_path=pg_catalog, public",
            "usage_arrived of pytake_rollup search_path=pg_catalog, public",
            "usage_complete_until of pytake_rollup search_path=pg_catalog, public",
            "usage_quotas of pytake_rollup search_path=pg_catalog, public",
            "webhook_standing of pytake_dispatch search_path=pg_catalog, public",
            "webhook_tenants of pytake_dispatch search_path=pg_catalog, public",
        ]
    "#]]
    .assert_debug_eq(&found.await);
}

#[tokio::test]
async fn every_function_of_ours_refuses_the_public() {
    let found = find(
        "SELECT proname::text
         FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
         WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'apalis')
             AND prorettype <> 'trigger'::regtype
             -- An extension's are harmless and its own.
             AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
             AND has_function_privilege('public', pg_proc.oid, 'EXECUTE')",
    );
    none(&found.await);
}
