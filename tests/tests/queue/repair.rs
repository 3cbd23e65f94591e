//! What operators do to jobs, and what they leave alone.

use domain::id::{JobId, OperatorEventId, TenantId};
use jiff::Timestamp;
use jobs::repair::{self, Repair, Repaired, Selection, State};
use serde_json::{Value, json};
use sqlx::PgConnection;
use store::Store;
use store::operator_events::OperatorEvent;
use store::page::{Page, PageLimit};
use uuid::Uuid;

use super::store_as;

/// A database with jobs in every state, two of each, of two tenants.
async fn with_jobs() -> (harness::TestDatabase, Store, PgConnection) {
    let (database, store) = store_as("pytake_operator").await;
    let mut admin = database.connect().await;
    let statements = "
        INSERT INTO apalis.workers (id, worker_type, storage_name) VALUES ('w', 'email', '');
        CREATE FUNCTION pg_temp.of_tenant(tenant integer) RETURNS void LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM set_config('app.tenant_id', lpad(tenant::text, 8, '0') || '-0000-7000-8000-000000000000', false);
            PERFORM apalis.enqueue(
                'email', '{\"version\": 1, \"job\": {\"message\": \"verify_email\",
                    \"user_id\": \"user_00000000000000000000000003\", \"generation\": 1}}', 3, priority => state)
            FROM generate_series(1, 6) AS state;
        END $$;
        SELECT pg_temp.of_tenant(1), pg_temp.of_tenant(2);
        UPDATE apalis.jobs SET run_at = now() + interval '1 day', due = false WHERE priority = 2;
        UPDATE apalis.jobs SET status = 'Queued', lock_by = 'w' WHERE priority = 3;
        UPDATE apalis.jobs SET status = 'Failed', attempts = 3, done_at = now(),
            last_result = '{\"Err\": \"connection refused\"}' WHERE priority = 4;
        UPDATE apalis.jobs SET status = 'Killed', attempts = 1, done_at = now(),
            last_result = '{\"Err\": \"no such address\"}' WHERE priority = 5;
        UPDATE apalis.jobs SET status = 'Done', attempts = 1, done_at = now() WHERE priority = 6;";
    sqlx::raw_sql(statements).execute(&mut admin).await.expect("jobs");
    (database, store, admin)
}

fn event(action: &'static str, details: Value) -> OperatorEvent {
    OperatorEvent {
        id: OperatorEventId::from_uuid(Uuid::from_u128(rand::random())),
        at: Timestamp::UNIX_EPOCH,
        operator: "ada".to_owned(),
        action,
        details,
        address: None,
        request_id: None,
    }
}

async fn states(admin: &mut PgConnection) -> String {
    let sql = "SELECT string_agg(state || ' ' || jobs, ', ' ORDER BY state) FROM (
        SELECT apalis.state_of(status, attempts, max_attempts, run_at) AS state, count(*) AS jobs
        FROM apalis.jobs GROUP BY 1) AS states";
    sqlx::query_scalar(sql).fetch_one(admin).await.expect("states")
}

fn tenant(number: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128((number << 96) | (0x7000 << 64) | (0x8000 << 48)))
}

async fn list(store: &Store, selection: Selection) -> Vec<repair::Summary> {
    let page = Page { limit: PageLimit::DEFAULT, after: None };
    let mut tx = store.control().await.expect("a transaction");
    repair::list(&mut tx, &selection, page).await.expect("jobs").rows
}

#[tokio::test]
async fn jobs_are_found_by_queue_state_tenant_and_error() {
    let (_database, store, _admin) = with_jobs().await;
    for state in State::ALL {
        let found = list(&store, Selection { state: Some(state), ..Selection::default() }).await;
        assert_eq!(found.len(), 2, "{state}");
        assert!(found.iter().all(|job| job.state == state));
    }
    let of = |tenant_id| Selection { tenant_id: Some(tenant_id), ..Selection::default() };
    assert_eq!(list(&store, of(tenant(1))).await.len(), 6);
    assert_eq!(list(&store, of(tenant(3))).await.len(), 0);
    let refused = Selection { error: Some("refused".to_owned()), ..of(tenant(2)) };
    let found = list(&store, refused).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].error.as_deref(), Some("connection refused"));
    let other = Selection { queue: Some("usage".to_owned()), ..Selection::default() };
    assert_eq!(list(&store, other).await.len(), 0);
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let (_database, store, _admin) = with_jobs().await;
    let mut seen: Vec<JobId> = Vec::new();
    let mut after = None;
    loop {
        let page = Page { limit: PageLimit::new(5).expect("a limit"), after };
        let mut tx = store.control().await.expect("a transaction");
        let rows = repair::list(&mut tx, &Selection::default(), page).await.expect("jobs");
        seen.extend(rows.rows.iter().map(|job| job.id));
        after = rows.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 12);
    assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "{seen:?}");
}

#[tokio::test]
async fn retrying_is_for_what_is_dead_discarded_or_waits_and_is_recorded() {
    let (_database, store, mut admin) = with_jobs().await;
    let all = Selection { queue: Some("email".to_owned()), ..Selection::default() };
    let done = repair::repair(&store, &all, &Repair::Retry, event).await.expect("a repair");
    assert_eq!(done, Repaired { matched: 12, changed: 6 });
    assert_eq!(states(&mut admin).await, "done 2, due 8, held 2");
    let anew = "SELECT count(*) FROM apalis.jobs WHERE status = 'Pending' AND attempts = 0 AND due";
    let anew: i64 = sqlx::query_scalar(anew).fetch_one(&mut admin).await.unwrap();
    assert_eq!(anew, 8);
    let events =
        "SELECT operator || ' ' || action || ' ' || (details ->> 'jobs') FROM operator_events";
    let events: Vec<String> = sqlx::query_scalar(events).fetch_all(&mut admin).await.unwrap();
    assert_eq!(events, ["ada jobs.retried 6"]);
}

#[tokio::test]
async fn discarding_is_for_what_waits_or_is_dead_and_keeps_the_reason() {
    let (_database, store, mut admin) = with_jobs().await;
    let of_one = Selection { tenant_id: Some(tenant(1)), ..Selection::default() };
    let repair = Repair::Discard("the tenant asked".to_owned());
    let done = repair::repair(&store, &of_one, &repair, event).await.expect("a repair");
    assert_eq!(done, Repaired { matched: 6, changed: 3 });
    assert_eq!(states(&mut admin).await, "dead 1, discarded 5, done 2, due 1, held 2, later 1");
    let reasons = Selection { error: Some("the tenant asked".to_owned()), ..of_one };
    assert_eq!(list(&store, reasons).await.len(), 3);
}

#[tokio::test]
async fn more_than_a_batch_is_repaired_in_several_transactions() {
    let (_database, store, mut admin) = with_jobs().await;
    let many = "SELECT apalis.enqueue_all('usage', array_fill('{}'::jsonb, ARRAY[1200]), 1);
        UPDATE apalis.jobs SET status = 'Failed', attempts = 1 WHERE job_type = 'usage';";
    sqlx::raw_sql(many).execute(&mut admin).await.expect("jobs");
    let all = Selection { queue: Some("usage".to_owned()), ..Selection::default() };
    let done = repair::repair(&store, &all, &Repair::Retry, event).await.expect("a repair");
    assert_eq!(done, Repaired { matched: 1_200, changed: 1_200 });
    let batches = "SELECT (details ->> 'jobs')::bigint FROM operator_events ORDER BY 1";
    let batches: Vec<i64> = sqlx::query_scalar(batches).fetch_all(&mut admin).await.unwrap();
    assert_eq!(batches, [200, 500, 500]);
}

#[tokio::test]
async fn a_job_is_shown_with_what_failed_and_only_what_its_type_reads() {
    let (_database, store, mut admin) = with_jobs().await;
    let attempts = "UPDATE apalis.jobs SET run_at = now(), due = true, status = 'Pending' WHERE priority = 2;
        UPDATE apalis.jobs SET status = 'Queued', lock_by = 'w' WHERE priority = 2;
        UPDATE apalis.jobs SET status = 'Failed', attempts = 1, last_result = '{\"Err\": \"first\"}'
        WHERE priority = 2;
        UPDATE apalis.jobs SET status = 'Queued', lock_by = 'w' WHERE priority = 2;
        UPDATE apalis.jobs SET status = 'Failed', attempts = 2, last_result = '{\"Err\": \"second\"}'
        WHERE priority = 2;";
    sqlx::raw_sql(attempts).execute(&mut admin).await.expect("attempts");
    let failed = Selection { error: Some("second".to_owned()), ..Selection::default() };
    let id = list(&store, failed).await[0].id;
    let detail = repair::get(&mut store.control().await.unwrap(), id).await.expect("a job");
    let errors: Vec<_> = detail.errors.iter().map(|failure| failure.error.as_deref()).collect();
    assert_eq!(errors, [Some("first"), Some("second")]);
    assert_eq!(detail.errors[0].worker.as_deref(), Some("w"));
    let payload = json!({
        "message": "verify_email", "user_id": "user_00000000000000000000000003", "generation": 1,
    });
    assert_eq!(detail.payload, payload);
    let nobody = JobId::from_uuid(Uuid::nil());
    let found = repair::get(&mut store.control().await.unwrap(), nobody).await;
    assert!(matches!(found, Err(store::Error::NotFound)), "{found:?}");
}
