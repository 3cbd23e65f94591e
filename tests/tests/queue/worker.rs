//! What a real worker makes of jobs that fail, cannot be read, or are in its hands when it is killed.

use std::time::Duration;

use harness::{App, AppOptions, poll_async};
use sqlx::PgConnection;

use super::mail_server::{Answer, MailServer};

/// How long a worker may take to get to a state that it is on its way to.
const BOUND: Duration = Duration::from_secs(15);

/// A job of mail. Others come by the clock at any moment.
#[derive(Debug, Clone, sqlx::FromRow)]
struct Job {
    status: String,
    attempts: i32,
    /// Why the last attempt failed.
    reason: Option<String>,
    /// From the last attempt's end to the next's beginning.
    pause_seconds: Option<f64>,
}

async fn find(app: &App) -> Option<Job> {
    sqlx::query_as(
        "SELECT status, attempts, last_result ->> 'Err' AS reason,
            extract(epoch FROM run_at - done_at)::float8 AS pause_seconds
        FROM apalis.jobs
        WHERE job_type = 'email'
        ORDER BY id DESC
        LIMIT 1",
    )
    .fetch_optional(&mut app.database().connect().await)
    .await
    .expect("the database answers")
}

/// The newest job, once it is as a test waits for it to be.
async fn job_when(app: &App, expected: impl Fn(&Job) -> bool) -> Job {
    let found = poll_async(BOUND, async || find(app).await.filter(|job| expected(job))).await;
    match found {
        Some(job) => job,
        None => panic!("the job stays {:?}", find(app).await),
    }
}

async fn job_failed(app: &App, attempts: i32) -> Job {
    job_when(app, |job| job.status == "Failed" && job.attempts == attempts).await
}

async fn run(admin: &mut PgConnection, statements: &'static str) {
    sqlx::raw_sql(statements).execute(admin).await.expect("the database answers");
}

/// Puts a file where the folder of mail is, so that no message can be put away.
fn break_mail(app: &App) {
    std::fs::remove_dir_all(app.mail_dir()).expect("a folder of mail");
    std::fs::write(app.mail_dir(), "").expect("a file in its place");
}

fn mend_mail(app: &App) {
    std::fs::remove_file(app.mail_dir()).expect("a file in its place");
    std::fs::create_dir(app.mail_dir()).expect("a folder of mail");
}

/// The worker's count of attempts that ended so.
async fn ended(app: &App, outcome: &str) -> u64 {
    let operator = app.stranger().calling(&app.metrics_url("pytake-workers"));
    let metrics = operator.get("/metrics").await.expect(200).body;
    let line = format!("pytake_job_attempts_total{{outcome=\"{outcome}\",queue=\"email\"}} ");
    let count = metrics.lines().find_map(|metric| metric.strip_prefix(&line));
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no {line}in {metrics}"))
}

#[tokio::test]
async fn a_failing_job_is_tried_again_after_a_growing_pause_and_done_once_it_can_be() {
    let app = App::start().await;
    break_mail(&app);
    let owner = app.tenant("acme", "Pro").await;
    let first = job_failed(&app, 1).await;
    let second = job_failed(&app, 2).await;
    // 1 s and 2 s, a fifth more or less.
    assert!((0.75..1.25).contains(&first.pause_seconds.expect("a pause")), "{first:?}");
    assert!((1.55..2.45).contains(&second.pause_seconds.expect("a pause")), "{second:?}");
    mend_mail(&app);
    app.mailbox().wait_for(&owner.email, "token").await;
    app.wait_for_jobs().await;
    assert_eq!(app.mailbox().all_to(&owner.email).len(), 1);
}

#[tokio::test]
async fn a_job_that_keeps_failing_is_a_dead_letter_with_its_reason() {
    let app = App::start_with(AppOptions {
        errors_expected: true,
        jobs_may_remain: true,
        ..AppOptions::default()
    })
    .await;
    break_mail(&app);
    app.tenant("acme", "Pro").await;
    job_failed(&app, 1).await;
    run(
        &mut app.database().connect().await,
        "UPDATE apalis.jobs SET max_attempts = 2 WHERE job_type = 'email'",
    )
    .await;
    let dead = job_failed(&app, 2).await;
    let reason = dead.reason.expect("a reason");
    assert!(reason.contains("Not a directory"), "{reason}");
    assert_eq!((ended(&app, "retry").await, ended(&app, "dead").await), (1, 1));
}

#[tokio::test]
async fn a_payload_that_cannot_be_read_is_a_dead_letter_and_stops_nothing() {
    let app = App::start_with(AppOptions { errors_expected: true, ..AppOptions::default() }).await;
    let mut admin = app.database().connect().await;
    for (payload, reason) in [
        (r#"{"version": 99, "job": {}}"#, "the payload has version 99, this release reads 1"),
        (r#"{"version": 1, "job": {"message": "telegram"}}"#, "unknown variant `telegram`"),
        ("[]", "the payload cannot be read"),
    ] {
        sqlx::query("SELECT apalis.enqueue('email', $1::jsonb, 25)")
            .bind(payload)
            .execute(&mut admin)
            .await
            .expect("the database answers");
        let dead = job_when(&app, |job| job.status == "Killed").await;
        assert!(dead.reason.as_ref().is_some_and(|text| text.contains(reason)), "{dead:?}");
        run(&mut admin, "DELETE FROM apalis.jobs WHERE job_type = 'email'").await;
    }
    assert_eq!(ended(&app, "undecodable").await, 3);
    let owner = app.tenant("acme", "Pro").await;
    app.mailbox().wait_for(&owner.email, "token").await;
}

#[tokio::test]
async fn a_job_in_the_hands_of_a_killed_worker_is_done_by_another() {
    let server = MailServer::start(Answer::Silence).await;
    let mut settings = server.settings();
    settings.push(("PYTAKE_WORKERS__SILENCE_SECONDS", "2".to_owned()));
    let mut app = App::start_with(AppOptions { settings, ..AppOptions::default() }).await;
    app.tenant("acme", "Pro").await;
    assert!(poll_async(BOUND, async || (server.callers() > 0).then_some(())).await.is_some());
    app.process("pytake-workers").kill();
    let left = find(&app).await.expect("the job");
    assert!(matches!(left.status.as_str(), "Queued" | "Running"), "{left:?}");

    server.answer(Answer::Accept);
    app.restart("pytake-workers").await;

    let done = job_when(&app, |job| job.status == "Done").await;
    assert_eq!(done.attempts, 2, "the killed one counts");
    assert_eq!(server.messages().len(), 1);
}

#[tokio::test]
async fn a_mail_server_is_tried_later_if_it_asks_for_that_and_not_again_if_it_refuses() {
    let server = MailServer::start(Answer::NotNow).await;
    let app =
        App::start_with(AppOptions { settings: server.settings(), ..AppOptions::default() }).await;
    let mut admin = app.database().connect().await;

    app.tenant("acme", "Pro").await;
    let deferred = job_failed(&app, 1).await;
    assert!((50.0..61.0).contains(&deferred.pause_seconds.expect("a pause")), "{deferred:?}");
    assert!(deferred.reason.is_some_and(|reason| reason.contains("greylisted")));

    server.answer(Answer::Accept);
    run(&mut admin, "UPDATE apalis.jobs SET run_at = now() WHERE job_type = 'email'").await;
    job_when(&app, |job| job.status == "Done").await;
    let messages = server.messages();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].contains("To: owner@acme.example"), "{}", messages[0]);

    server.answer(Answer::Never);
    app.tenant("globex", "Pro").await;
    let refused = job_when(&app, |job| job.status == "Killed").await;
    assert!(refused.reason.is_some_and(|reason| reason.contains("nobody of that name")));
    assert_eq!(server.messages().len(), 1);
}
