//! What comes in at `/hooks/{provider}`: only what is signed and recent is kept, once, byte for byte, and what concerns
//! nobody is kept, too, and left alone.

use domain::clock::{Clock as _, SystemClock};
use harness::stripe_simulator::{SECRET_KEY, StripeSimulator, stripe_signature};
use harness::{Answer, App, AppOptions};
use http::Method;

const SECRETS: [&str; 2] = ["whsec_one", "whsec_two"];
/// An event that concerns nobody.
const EVENT: &str = r#"{"id": "evt_1", "object": "event", "type": "customer.created",  "data": {"object": {"id": "cus_1", "object": "customer"}}}"#;

async fn start() -> App {
    let settings = vec![
        ("PYTAKE_PAYMENTS__STRIPE__SECRET_KEY", SECRET_KEY.to_owned()),
        ("PYTAKE_PAYMENTS__STRIPE__BASE_URL", StripeSimulator::start(1).await.url().to_owned()),
        ("PYTAKE_PAYMENTS__STRIPE__WEBHOOK_SECRETS", format!("{SECRETS:?}")),
    ];
    App::start_with(AppOptions { settings, ..AppOptions::default() }).await
}

async fn call(app: &App, path: &str, body: &str, signature: Option<&str>) -> Answer {
    let mut caller = app.stranger();
    if let Some(signature) = signature {
        caller = caller.with("stripe-signature", signature);
    }
    let body = body.as_bytes().to_vec();
    caller.send(Method::POST, path, Some(("application/json", body))).await
}

async fn kept(app: &App) -> Vec<(String, Vec<u8>, Option<String>)> {
    let sql = "SELECT event_id, payload, outcome FROM provider_events ORDER BY event_id";
    let mut admin = app.database().connect().await;
    sqlx::query_as(sql).fetch_all(&mut admin).await.expect("events")
}

#[tokio::test]
async fn what_is_signed_and_recent_is_kept_once_byte_for_byte() {
    let app = start().await;
    let now = SystemClock.now().as_second();
    for secret in SECRETS {
        let signed = stripe_signature(secret, now, EVENT.as_bytes());
        call(&app, "/hooks/stripe", EVENT, Some(&signed)).await.expect(204);
    }
    app.wait_for_jobs().await;
    let jobs = "SELECT count(*) FROM apalis.jobs WHERE convert_from(job, 'UTF8') LIKE '%evt_1%'";
    let mut admin = app.database().connect().await;
    let jobs: i64 = sqlx::query_scalar(jobs).fetch_one(&mut admin).await.expect("a count");
    assert_eq!(jobs, 1);
    let ignored = Some("Ignored".to_owned());
    assert_eq!(kept(&app).await, [("evt_1".to_owned(), EVENT.as_bytes().to_vec(), ignored)]);
}

#[tokio::test]
async fn what_is_not_signed_or_was_long_ago_leaves_no_trace() {
    let app = start().await;
    let now = SystemClock.now().as_second();
    let signed = |at, body: &str| stripe_signature(SECRETS[0], at, body.as_bytes());
    let other = EVENT.replace("evt_1", "evt_2");
    for (path, body, signature, expected) in [
        ("/hooks/stripe", EVENT, None, 400),
        ("/hooks/stripe", EVENT, Some(stripe_signature("whsec_three", now, EVENT.as_bytes())), 400),
        // Of another body, and of the same with other spaces.
        ("/hooks/stripe", other.as_str(), Some(signed(now, EVENT)), 400),
        ("/hooks/stripe", EVENT, Some(signed(now, &EVENT.replace("  ", " "))), 400),
        ("/hooks/stripe", EVENT, Some(signed(now - 400, EVENT)), 400),
        ("/hooks/stripe", EVENT, Some(signed(now + 400, EVENT)), 400),
        ("/hooks/stripe", "no event", Some(signed(now, "no event")), 400),
        // Not set up, no such provider, and one that calls nobody.
        ("/hooks/paypal", EVENT, Some(signed(now, EVENT)), 404),
        ("/hooks/Stripe", EVENT, Some(signed(now, EVENT)), 404),
        ("/hooks/sandbox", EVENT, Some(signed(now, EVENT)), 404),
    ] {
        let answer = call(&app, path, body, signature.as_deref()).await;
        assert_eq!(answer.status, expected, "{path} {signature:?}: {}", answer.json());
    }
    assert_eq!(kept(&app).await, []);
}
