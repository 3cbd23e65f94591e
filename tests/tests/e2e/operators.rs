//! Operators repair jobs: on a listener of their own, with keys of their own, and by commands on the machine.

use harness::{Actor, App, AppOptions, poll_async};
use serde_json::{Value, json};
use std::time::Duration;

const JOBS: &str = "/api/v1/admin/jobs";

/// An installation with a dead job, a discarded one, and one that waits for its time, all of unknown form or people.
async fn app_with_jobs() -> App {
    let app = App::start_with(AppOptions {
        errors_expected: true,
        jobs_may_remain: true,
        ..AppOptions::default()
    })
    .await;
    let jobs = r#"
        SELECT apalis.enqueue('email',
            '{"version": 1, "job": {"message": "verify_email", "user_id": "user_00000000000000000000000003", "generation": 1}}',
            3, run_at => now() + interval '1 hour');
        SELECT apalis.enqueue('email', '{"version": 99, "job": {"to": "canary@example.com"}}', 3);"#;
    sqlx::raw_sql(jobs).execute(&mut app.database().connect().await).await.expect("jobs");
    let operator = app.operator();
    let discarded = poll_async(Duration::from_secs(10), async || {
        let answer = operator.get(&format!("{JOBS}?state=discarded")).await.expect(200).json();
        (answer["data"].as_array().map(Vec::len) == Some(1)).then_some(())
    });
    assert!(discarded.await.is_some(), "the job that cannot be read is discarded");
    app
}

async fn jobs(operator: &Actor, query: &str) -> Vec<Value> {
    let answer = operator.get(&format!("{JOBS}?{query}")).await.expect(200).json();
    answer["data"].as_array().expect("jobs").clone()
}

#[tokio::test]
async fn jobs_are_listed_shown_retried_and_discarded() {
    let app = app_with_jobs().await;
    let operator = app.operator();
    assert_eq!(jobs(&operator, "queue=email").await.len(), 2);
    let unreadable = &jobs(&operator, "state=discarded").await[0];
    let path = format!("{JOBS}/{}", unreadable["id"].as_str().expect("an id"));
    let shown = operator.get(&path).await.expect(200).json();
    assert!(shown["errors"][0]["error"].as_str().is_some_and(|text| text.contains("version 99")));
    assert_eq!(shown["payload"]["job"]["to"], "a string of 18 characters", "{shown}");

    let retried = operator.post(&format!("{JOBS}/retry"), json!({"state": "discarded"})).await;
    assert_eq!(retried.expect(200).json(), json!({"matched": 1, "changed": 1}));
    let waiting = jobs(&operator, "state=later").await;
    let ids = json!([waiting[0]["id"]]);
    let dry = json!({"ids": ids, "reason": "not needed", "dry_run": true});
    let discarded = operator.post(&format!("{JOBS}/discard"), dry).await;
    assert_eq!(discarded.expect(200).json(), json!({"matched": 1, "changed": 0}));
    let body = json!({"ids": ids, "reason": "not needed"});
    let discarded = operator.post(&format!("{JOBS}/discard"), body).await;
    assert_eq!(discarded.expect(200).json(), json!({"matched": 1, "changed": 1}));
    assert_eq!(jobs(&operator, "error=not%20needed").await.len(), 1);

    let queues = operator.get("/api/v1/admin/queues").await.expect(200).json();
    let names: Vec<_> = queues["data"].as_array().expect("queues").iter().collect();
    assert!(names.iter().any(|queue| queue["queue"] == "email" && queue["due"].is_i64()));

    let events =
        "SELECT action || ' ' || (operator LIKE 'credential\\_%') || ' ' || (address IS NOT NULL)
        FROM operator_events ORDER BY id";
    let events: Vec<String> = sqlx::query_scalar(events)
        .fetch_all(&mut app.database().connect().await)
        .await
        .expect("events");
    assert_eq!(events, ["jobs.retried true true", "jobs.discarded true true"]);
}

#[tokio::test]
async fn nobody_without_an_operators_key_in_force_gets_in() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let (_, application) = app.application();
    let key = owner.api_key(&["usage.read"]).await;
    let url = app.operator_url();
    let strangers = [
        app.stranger().calling(&url),
        owner.actor().calling(&url),
        application.calling(&url),
        app.stranger().bearing(&key).calling(&url),
        app.stranger().bearing("op_nonsense").calling(&url),
    ];
    for stranger in &strangers {
        for path in [JOBS, "/api/v1/admin/queues", "/openapi.json", "/nothing"] {
            assert_eq!(stranger.get(path).await.problem(), "401 unauthenticated");
        }
        let retry = stranger.post(&format!("{JOBS}/retry"), json!({"state": "dead"})).await;
        assert_eq!(retry.problem(), "401 unauthenticated");
    }
    // Nor does an operator's key open anything to tenants, or the operators' paths exist for them.
    let operator = app.operator();
    operator.get(JOBS).await.expect(200);
    assert_eq!(operator.calling(&app.url()).get("/api/v1/dashboard").await.status, 401);
    assert_eq!(operator.calling(&app.url()).get(JOBS).await.status, 404);
    assert_eq!(owner.get(JOBS).await.status, 404);

    let list = app.command("pytake-api", &["operator-credential", "list"]);
    let id = list.split_whitespace().next().expect("an id").to_owned();
    assert!(list.contains("in force until"), "{list}");
    assert!(app.command("pytake-api", &["operator-credential", "revoke", &id]).contains("revoked"));
    assert_eq!(operator.get(JOBS).await.problem(), "401 unauthenticated");

    let expiring = app.operator();
    expiring.get(JOBS).await.expect(200);
    let expired = "UPDATE platform_credentials SET expires_at = now()";
    sqlx::raw_sql(expired).execute(&mut app.database().connect().await).await.expect("an answer");
    assert_eq!(expiring.get(JOBS).await.problem(), "401 unauthenticated");
}

#[tokio::test]
async fn what_is_meant_must_be_said_and_said_well() {
    let app = App::start().await;
    let operator = app.operator();
    let pointers = async |path: &str, body: Value| {
        operator.post(&format!("{JOBS}/{path}"), body).await.expect(422).fault_pointers()
    };
    assert_eq!(pointers("retry", json!({})).await, [""]);
    assert_eq!(pointers("discard", json!({"reason": "x"})).await, [""]);
    assert_eq!(pointers("discard", json!({"state": "dead"})).await, ["/reason"]);
    assert_eq!(pointers("retry", json!({"state": "dead", "reason": "x"})).await, ["/reason"]);
    assert_eq!(pointers("retry", json!({"state": "Dead"})).await, ["/state", ""]);
    assert_eq!(pointers("retry", json!({"ids": ["job_1", 7]})).await, ["/ids/1"]);
    assert_eq!(pointers("retry", json!({"ids": ["job_1"]})).await, ["/ids/0"]);
    assert_eq!(pointers("retry", json!({"quene": "email"})).await.len(), 1);
    let bad = operator.get(&format!("{JOBS}?state=x&tenant_id=y")).await.expect(422);
    assert_eq!(bad.fault_pointers(), ["/state", "/tenant_id"]);
    assert_eq!(operator.get(&format!("{JOBS}/job_1")).await.problem(), "404 not-found");
    let absent = format!("{JOBS}/job_00000000000000000000000000");
    assert_eq!(operator.get(&absent).await.problem(), "404 not-found");
    assert_eq!(operator.delete(JOBS).await.problem(), "405 method-not-allowed");
    // None are meant: none are changed.
    let none = operator.post(&format!("{JOBS}/retry"), json!({"ids": []})).await;
    assert_eq!(none.expect(200).json(), json!({"matched": 0, "changed": 0}));
}

#[tokio::test]
async fn the_same_is_done_by_commands_on_the_machine() {
    let app = app_with_jobs().await;
    let run = |arguments: &[&str]| app.command("pytake-workers", &[&["jobs"], arguments].concat());
    let listed = run(&["list", "--queue", "email", "--state", "later"]);
    let id = listed.split_whitespace().next().expect("an id").to_owned();
    let shown = run(&["show", &id]);
    assert!(shown.contains("verify_email") && shown.contains("user_0000"), "{shown}");
    assert_eq!(run(&["retry", "--state", "discarded", "--dry-run"]).trim(), "1 jobs are meant");
    assert_eq!(run(&["discard", &id, "--reason", "a test"]).trim(), "1 of 1 jobs are changed");
    assert!(run(&["list", "--error", "a test"]).contains(&id));
    assert_eq!(run(&["retry", &id]).trim(), "1 of 1 jobs are changed");
    assert_eq!(run(&["list", "--queue", "nothing"]).trim(), "none");
    for refused in
        [&["retry"][..], &["list", "--state", "x"], &["show", "job_1"], &["discard", &id]]
    {
        let output = app.try_command("pytake-workers", &[&["jobs"], refused].concat());
        assert!(!output.status.success() && !output.stderr.is_empty(), "{refused:?}");
    }
    let by = "SELECT DISTINCT operator FROM operator_events";
    let by: String = sqlx::query_scalar(by)
        .fetch_one(&mut app.database().connect().await)
        .await
        .expect("an event");
    assert!(by.starts_with("uid "), "{by}");
}

#[tokio::test]
async fn the_workers_list_their_queues_and_schedules() {
    let app = App::start().await;
    let listed = app.command("pytake-workers", &["--list"]);
    for name in ["email", "usage", "usage.roll_up", "next"] {
        assert!(listed.contains(name), "{listed}");
    }
    let unknown = app.try_command("pytake-workers", &["--queues", "emial"]);
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(!unknown.status.success() && said.contains("email, usage"), "{said}");
}
