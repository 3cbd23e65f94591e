//! Mail by a real SMTP server: with TLS of both kinds and a login, refused and asked to come back, over few connections,
//! and gone for a while.

use std::collections::BTreeSet;
use std::time::Duration;

use harness::{App, AppOptions, Security, SmtpServer, poll_async};

const BOUND: Duration = Duration::from_secs(30);
const LOGIN: Option<(&str, &str)> = Some(("pytake", "pw-1"));

async fn start(
    security: Security,
    login: Option<(&'static str, &'static str)>,
    password: &str,
    change: impl FnOnce(&mut Vec<(&'static str, String)>),
) -> (App, SmtpServer) {
    let server = SmtpServer::start(security, login);
    let mut settings = server.settings(password);
    change(&mut settings);
    let app = App::start_with(AppOptions {
        settings,
        jobs_may_remain: true,
        errors_expected: true,
        ..AppOptions::default()
    })
    .await;
    (app, server)
}

/// Waits until the newest job is as `condition`, and answers why its last attempt failed.
async fn job_is(app: &App, condition: &str) -> String {
    let connection = tokio::sync::Mutex::new(app.database().connect().await);
    let sql = format!(
        "SELECT coalesce(last_result ->> 'Err', '') FROM apalis.jobs
         WHERE job_type = 'email' AND {condition} ORDER BY id DESC LIMIT 1"
    );
    let found = poll_async(BOUND, async || {
        let sql = sqlx::AssertSqlSafe(sql.clone());
        sqlx::query_scalar(sql).fetch_optional(&mut *connection.lock().await).await.ok().flatten()
    });
    found.await.unwrap_or_else(|| panic!("no job is {condition}"))
}

#[tokio::test]
async fn a_message_goes_out_whole_over_tls_of_either_kind_with_a_login() {
    for security in [Security::Smtps, Security::StartTls] {
        let (app, server) = start(security, LOGIN, "pw-1", |_| {}).await;
        app.tenant("acme", "Pro").await;
        job_is(&app, "status = 'Done'").await;
        let messages = server.messages();
        assert_eq!(messages.len(), 1, "{security:?}");
        let message = &messages[0];
        let id: String = sqlx::query_scalar(
            "SELECT 'job_' || lower(id) FROM apalis.jobs WHERE job_type = 'email'",
        )
        .fetch_one(&mut app.database().connect().await)
        .await
        .expect("a job");
        for line in [
            format!("Message-ID: <{id}@localhost.localdomain>"),
            "To: owner@acme.example".to_owned(),
            "Subject: Confirm your e-mail address for PyTake".to_owned(),
        ] {
            assert!(message.lines().any(|found| found == line), "{line} is not in:\n{message}");
        }
        assert!(message.contains("multipart/alternative") && message.contains("text/html"));
        let link = format!("{}/verify-email?token=", app.url());
        assert!(message.lines().any(|line| line.starts_with(&link)), "{message}");
    }
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear_where_tls_is_required() {
    let (app, server) = start(Security::Plain, None, "", |settings| {
        settings[1].1.push_str("?tls=required");
    })
    .await;
    app.tenant("acme", "Pro").await;
    let reason = job_is(&app, "status = 'Failed' AND attempts = 1").await;
    assert!(reason.contains("STARTTLS"), "{reason}");
    assert!(server.messages().is_empty());
}

#[tokio::test]
async fn a_server_whose_certificate_nobody_vouches_for_gets_no_mail() {
    let (app, server) = start(Security::Smtps, LOGIN, "pw-1", |settings| {
        settings.retain(|(name, _)| *name != "SSL_CERT_FILE");
    })
    .await;
    app.tenant("acme", "Pro").await;
    let reason = job_is(&app, "status = 'Failed' AND attempts = 1").await;
    assert!(reason.contains("certificate") || reason.contains("UnknownIssuer"), "{reason}");
    assert!(server.messages().is_empty());
}

#[tokio::test]
async fn a_wrong_password_loses_no_mail() {
    let (app, server) = start(Security::StartTls, LOGIN, "pw-wrong", |_| {}).await;
    app.tenant("acme", "Pro").await;
    let reason = job_is(&app, "status = 'Failed' AND attempts = 1").await;
    assert!(reason.contains("535"), "{reason}");
    assert!(!reason.contains("pw-wrong"), "{reason}");
    assert!(server.messages().is_empty());
}

#[tokio::test]
async fn who_is_refused_for_good_is_given_up_and_who_is_busy_is_tried_later() {
    let (app, server) = start(Security::Plain, None, "", |_| {}).await;
    let owner = app.tenant("acme", "Pro").await;
    job_is(&app, "status = 'Done'").await;
    owner.invite("nobody@acme.example").await;
    let reason = job_is(&app, "status = 'Killed'").await;
    assert!(reason.contains("nobody of that name"), "{reason}");
    owner.invite("busy@acme.example").await;
    let later = "status = 'Failed' AND attempts = 1 AND run_at > now() + interval '30 seconds'";
    let reason = job_is(&app, later).await;
    assert!(reason.contains("greylisted"), "{reason}");
    assert_eq!(server.messages().len(), 1);
}

#[tokio::test]
async fn many_messages_share_few_connections_and_outlast_the_server() {
    let (app, mut server) = start(Security::StartTls, LOGIN, "pw-1", |_| {}).await;
    let owner = app.tenant("acme", "Enterprise").await;
    // An address that is not verified may invite five.
    let verified = "UPDATE users SET email_verified_at = now()";
    sqlx::raw_sql(verified).execute(&mut app.database().connect().await).await.expect("an answer");
    for number in 0..20 {
        owner.invite(&format!("member{number}@acme.example")).await;
    }
    let all = async |count: usize| {
        let taken = poll_async(BOUND, async || (server.messages().len() >= count).then_some(()));
        assert!(taken.await.is_some(), "{} of {count}", server.messages().len());
    };
    all(21).await;
    // Of each connection, the one in the clear and the one by TLS.
    assert!(server.connections() <= 2 * 8, "{}", server.connections());

    server.kill();
    for number in 20..30 {
        owner.invite(&format!("member{number}@acme.example")).await;
    }
    job_is(&app, "status = 'Failed'").await;
    server.start_again();
    let taken = poll_async(BOUND, async || (server.messages().len() >= 31).then_some(()));
    assert!(taken.await.is_some(), "{}", server.messages().len());
    let ids: BTreeSet<String> = server
        .messages()
        .iter()
        .filter_map(|text| text.lines().find(|line| line.starts_with("Message-ID:")))
        .map(str::to_owned)
        .collect();
    assert_eq!(ids.len(), 31);
}
