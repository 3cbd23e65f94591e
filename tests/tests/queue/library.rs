//! Our one migration against the job library's own: raising the library shows here what it changed.

use std::collections::BTreeSet;

use apalis_postgres::PostgresStorage;
use expect_test::expect;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

use super::api_store;

/// Only steps that later ones undo need it, and not every Postgres has it.
const PGCRYPTO: &str = "CREATE EXTENSION IF NOT EXISTS pgcrypto;";

/// One line for each thing of the schema that the library could rely on. Bodies of functions are compared
/// without case and white space.
const SHAPE: &str = "
    SELECT format('column %s %s %s %s%s%s', pg_class.relname,
            row_number() OVER (PARTITION BY pg_class.oid ORDER BY attnum),
            attname, format_type(atttypid, atttypmod),
            CASE WHEN attnotnull THEN ' not null' END,
            ' default ' || pg_get_expr(adbin, adrelid)) AS line
        FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid AND relkind = 'r'
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relnamespace = 'apalis'::regnamespace AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT format('constraint %s %s', conrelid::regclass, pg_get_constraintdef(oid))
        FROM pg_constraint
        WHERE connamespace = 'apalis'::regnamespace AND contype <> 'n'
    UNION ALL
    SELECT 'index ' || regexp_replace(indexdef, '^CREATE (UNIQUE )?INDEX \\S+ ON ', '\\1')
        FROM pg_indexes
        WHERE schemaname = 'apalis'
    UNION ALL
    SELECT format('trigger %s on %s', tgname, tgrelid::regclass)
        FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
        WHERE relnamespace = 'apalis'::regnamespace AND NOT tgisinternal
    UNION ALL
    SELECT format('function %s(%s) %s %s', proname, pg_get_function_arguments(oid),
            pg_get_function_result(oid),
            md5(regexp_replace(lower(prosrc), '\\s+|\\masc\\M|;\\s*$', '', 'g')))
        FROM pg_proc
        WHERE pronamespace = 'apalis'::regnamespace";

async fn shape(admin: &mut PgConnection) -> BTreeSet<String> {
    let lines: Vec<String> =
        sqlx::query_scalar(SHAPE).fetch_all(admin).await.expect("the database answers");
    lines.into_iter().collect()
}

/// What `PostgresStorage::setup` makes, where there is no pgcrypto too.
async fn set_up_the_librarys(admin: &mut PgConnection) {
    admin
        .execute("DROP SCHEMA apalis CASCADE; CREATE SCHEMA apalis")
        .await
        .expect("the database answers");
    // Bodies of early steps name what only pgcrypto has.
    admin.execute("SET check_function_bodies = off").await.expect("the database answers");
    for migration in PostgresStorage::<()>::migrations().iter() {
        let statements = migration.sql.as_str().replace(PGCRYPTO, "");
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(&mut *admin)
            .await
            .expect("the database answers");
    }
}

#[tokio::test]
async fn the_migration_differs_from_the_librarys_only_as_reviewed() {
    let (database, _store) = api_store().await;
    let mut admin = database.connect().await;
    let ours = shape(&mut admin).await;
    set_up_the_librarys(&mut admin).await;
    let theirs = shape(&mut admin).await;

    // What it has and we have not; and our columns, which it reads by position. What else we add is ours.
    let missing = theirs.difference(&ours).map(|line| format!("- {line}"));
    let columns = ours.difference(&theirs).filter(|line| line.starts_with("column"));
    let differences: Vec<_> = missing.chain(columns.map(|line| format!("+ {line}"))).collect();
    expect![[r#"
        - column jobs 12 priority integer default 0
        - function generate_ulid() text 1bfc8dcb5f1eb6dca91a0213eb2b181e
        - function get_jobs(worker_id text, v_job_type text, v_job_count integer DEFAULT 5) SETOF apalis.jobs 76e7351699a156037eb1e46299742f71
        - function notify_new_jobs() trigger 615e35fcefa69ffcebd7f9431b44b4eb
        - function push_job(job_type text, job json DEFAULT NULL::json, status text DEFAULT 'Pending'::text, run_at timestamp with time zone DEFAULT now(), max_attempts integer DEFAULT 25, priority integer DEFAULT 0) apalis.jobs 9b5e48a289b3bea951a6ff2815db07d2
        - index UNIQUE apalis.jobs USING btree (job_type, idempotency_key)
        - index apalis.jobs USING btree (job_type, priority DESC, run_at) WHERE ((status = 'Pending'::text) OR ((status = 'Failed'::text) AND (attempts < max_attempts)))
        - index apalis.jobs USING btree (lock_by)
        - index apalis.workers USING btree (worker_type)
        - trigger notify_workers on apalis.jobs
        + column jobs 12 priority integer not null default 0
        + column jobs 15 tenant_id uuid not null default '00000000-0000-0000-0000-000000000000'::uuid
        + column jobs 16 due boolean not null default false
        + column jobs 17 errors jsonb not null default '[]'::jsonb
        + column schedules 1 name text not null
        + column schedules 2 last_tick timestamp with time zone not null"#]].assert_eq(&differences.join("\n"));

    let pgcrypto = "SELECT count(*) FROM pg_extension WHERE extname = 'pgcrypto'";
    let pgcrypto: i64 = sqlx::query_scalar(pgcrypto).fetch_one(&mut admin).await.unwrap();
    assert_eq!(pgcrypto, 0, "another step names it: this test would fail where it is missing");
}
