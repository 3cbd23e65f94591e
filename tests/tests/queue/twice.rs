//! The answer of a job is no fence: any job may run a second time after it was done, and it must not matter.

use std::collections::BTreeSet;

use harness::{App, AppOptions, poll_async};
use jobs::catalog::QUEUES;
use serde_json::json;
use sqlx::PgConnection;
use std::time::Duration;

use super::mail_server::{Answer, MailServer};

const BOUND: Duration = Duration::from_secs(20);

/// All that jobs have written, but for the jobs themselves and what is told by the clock.
async fn written(admin: &mut PgConnection) -> String {
    let sql = "SELECT jsonb_build_object(
            'hours', (SELECT jsonb_agg(to_jsonb(h) ORDER BY h) FROM usage_hours AS h),
            'days', (SELECT jsonb_agg(to_jsonb(d) ORDER BY d) FROM usage_days AS d),
            'periods', (SELECT jsonb_agg(to_jsonb(p) ORDER BY p) FROM usage_periods AS p),
            'invoices', (SELECT jsonb_agg(to_jsonb(i) ORDER BY i) FROM invoices AS i),
            'payments', (SELECT jsonb_agg(to_jsonb(p) ORDER BY p) FROM payments AS p),
            'books', (SELECT jsonb_agg(to_jsonb(e) ORDER BY e) FROM ledger_entries AS e),
            'documents', (SELECT jsonb_agg(to_jsonb(d) ORDER BY d) FROM invoice_documents AS d),
            'events', (SELECT count(*) FROM audit_events))::text";
    sqlx::query_scalar(sql).fetch_one(admin).await.expect("what is written")
}

#[tokio::test]
async fn every_job_that_is_done_may_run_again_and_changes_nothing() {
    let server = MailServer::start(Answer::Accept).await;
    let settings = server.settings();
    let app = App::start_with(AppOptions {
        settings,
        // What is counted of the last request may still be on its way.
        jobs_may_remain: true,
        ..AppOptions::default()
    })
    .await;
    let owner = app.tenant("acme", "Pro").await;
    owner.invite("jane@acme.com").await;
    let wish = json!({"new_plan": "Enterprise", "payment_method": "card_1234567890"});
    owner.post(&owner.path("/upgrade"), wish).await.expect(200);
    let (_, application) = app.application();
    let event = json!({
        "specversion": "1.0", "id": "run-1", "source": "/test", "type": "automation_runs",
        "subject": owner.tenant_id, "data": {"quantity": 3},
    });
    application.post("/api/v1/usage/events", event).await.expect(200);
    let connection = tokio::sync::Mutex::new(app.database().connect().await);
    let settled = async || {
        let admin = &mut *connection.lock().await;
        let sql = "SELECT NOT EXISTS (SELECT FROM apalis.jobs WHERE status <> 'Done')
            AND EXISTS (SELECT FROM usage_periods WHERE meter = 'automation_runs' AND quantity = 3)
            -- The invitation and the upgrade: the edge tells of them when their second is over.
            AND EXISTS (SELECT FROM usage_periods WHERE meter = 'api_calls' AND quantity = 2)
            AND EXISTS (SELECT FROM invoice_documents) AND EXISTS (SELECT FROM payments)
            AND NOT EXISTS (SELECT FROM usage_batches WHERE rolled_up_at IS NULL)";
        let settled: bool = sqlx::query_scalar(sql).fetch_one(admin).await.expect("an answer");
        settled.then_some(())
    };
    assert!(poll_async(BOUND, settled).await.is_some(), "the jobs are not done");
    let admin = &mut app.database().connect().await;
    let queues = "SELECT DISTINCT job_type FROM apalis.jobs";
    let queues: Vec<String> =
        sqlx::query_scalar(queues).fetch_all(&mut *admin).await.expect("queues");
    for form in QUEUES {
        assert!(queues.iter().any(|queue| queue == form.name), "no {} job was done", form.name);
    }
    let before = written(admin).await;
    let messages = server.messages().len();

    // As if no worker's answer had ever been stored.
    let again = "UPDATE apalis.jobs SET status = 'Pending', run_at = now(), due = true";
    let again = sqlx::raw_sql(again).execute(&mut *admin).await.expect("an answer");
    assert!(again.rows_affected() >= 3);
    assert!(poll_async(BOUND, settled).await.is_some(), "the jobs are not done again");

    assert_eq!(written(admin).await, before);
    let ids: BTreeSet<String> = server
        .messages()
        .iter()
        .filter_map(|text| text.lines().find(|line| line.starts_with("Message-ID:")))
        .map(str::to_owned)
        .collect();
    assert_eq!(server.messages().len(), 2 * messages);
    assert_eq!(ids.len(), messages, "the second time under the same ids");
}
