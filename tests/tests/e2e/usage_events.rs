//! Usage that applications tell of: each event is counted once, or refused with its reason.

use std::time::Duration;

use harness::{Actor, Answer, App, poll_async};
use http::Method;
use serde_json::{Value, json};

const PATH: &str = "/api/v1/usage/events";
const SEEN_WITHIN: Duration = Duration::from_secs(20);
const BATCH: &str = "application/cloudevents-batch+json";

fn event(tenant: &str, id: &str, meter: &str, data: Value) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/test", "type": meter, "subject": tenant, "data": data,
    })
}

async fn tell(application: &Actor, media_type: &'static str, events: &Value) -> Answer {
    let body = Some((media_type, events.to_string().into_bytes()));
    application.send(Method::POST, PATH, body).await
}

/// `[accepted, duplicates, refused]`.
fn counts(answer: Answer) -> [u64; 3] {
    let body = answer.expect(200).json();
    ["accepted", "duplicates", "refused"].map(|name| body[name].as_u64().expect("a number"))
}

/// Waits until the owner sees this of a meter.
async fn used(owner: &harness::Owner, meter: &str, expected: u64) {
    let seen = poll_async(SEEN_WITHIN, async || {
        let usage = owner.get(&owner.path("/usage")).await.expect(200).json();
        let meters = usage["meters"].as_array().expect("meters").clone();
        let found = meters.into_iter().find(|body| body["meter"] == meter)?;
        (found["used"] == expected).then_some(())
    });
    assert!(seen.await.is_some(), "{meter} is never {expected}");
}

#[tokio::test]
async fn each_event_is_counted_once_or_refused_with_its_reason() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Enterprise").await;
    let (_, application) = app.application();
    let tenant = owner.tenant_id.as_str();

    let one = event(tenant, "a", "automation_runs", json!({ "quantity": 5 }));
    let first = tell(&application, "application/cloudevents+json", &one).await;
    assert_eq!(counts(first), [1, 0, 0]);
    let again = tell(&application, "application/json", &one).await;
    assert_eq!(counts(again), [0, 1, 0]);

    let batch = json!([
        event(tenant, "b", "automation_runs", json!({ "quantity": 7 })),
        event(tenant, "b", "automation_runs", json!({ "quantity": 7 })),
        event(tenant, "c", "messages", json!({})),
        event(tenant, "d", "walks", json!({})),
        event("tenant_01h455vb4pex5vsknk084sn02q", "e", "automation_runs", json!({})),
        event(tenant, "f", "automation_runs", json!({ "quantity": -1 })),
        event(tenant, "g", "storage_mb", json!({ "quantity": 120 })),
        7,
    ]);
    let answer = tell(&application, BATCH, &batch).await;
    let told = answer.expect(200).json();
    let counted = ["accepted", "duplicates", "refused"].map(|name| told[name].clone());
    assert_eq!(counted, [2, 1, 5]);
    let statuses: Vec<_> = told["events"].as_array().expect("events").iter().collect();
    let pointer = |index: usize| statuses[index]["reason"]["pointer"].clone();
    assert_eq!(
        (&statuses[0]["status"], &statuses[1]["status"]),
        (&json!("accepted"), &json!("duplicate"))
    );
    assert_eq!([2, 3, 4, 5, 7].map(pointer), ["/type", "/type", "/subject", "/data/quantity", ""]);
    assert!(statuses[2]["reason"]["detail"].as_str().expect("why").contains("counted by the edge"));
    assert_eq!(statuses[6]["id"], "g");

    // Nothing of it could be counted.
    let wrong = json!([event(tenant, "h", "messages", json!({}))]);
    let refused = tell(&application, BATCH, &wrong).await;
    assert_eq!(refused.problem(), "422 validation-failed");
    assert_eq!(refused.json()["errors"][0]["pointer"], "/type");

    used(&owner, "automation_runs", 12).await;
    used(&owner, "storage_mb", 120).await;
    let lower = event(tenant, "i", "storage_mb", json!({ "quantity": 80 }));
    tell(&application, "application/json", &lower).await.expect(200);
    used(&owner, "storage_mb", 80).await;
}

#[tokio::test]
async fn the_same_events_at_the_same_time_are_counted_once() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Enterprise").await;
    let (_, application) = app.application();
    let events: Vec<_> = (0..200)
        .map(|n| {
            event(&owner.tenant_id, &format!("id-{n}"), "automation_runs", json!({ "quantity": 2 }))
        })
        .collect();
    let calls = (0..8).map(|turn| {
        let (application, mut events) = (application.clone(), events.clone());
        // In another order each.
        events.rotate_left(turn * 25);
        tokio::spawn(async move { counts(tell(&application, BATCH, &json!(events)).await) })
    });
    let mut sums = [0; 3];
    for call in calls.collect::<Vec<_>>() {
        for (sum, count) in sums.iter_mut().zip(call.await.expect("an answer")) {
            *sum += count;
        }
    }
    assert_eq!(sums, [200, 1_400, 0]);
    used(&owner, "automation_runs", 400).await;
}

#[tokio::test]
async fn only_service_keys_in_force_may_tell_of_usage() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Enterprise").await;
    let (id, application) = app.application();
    let one = event(&owner.tenant_id, "a", "automation_runs", json!({}));
    let api_key = app.stranger().bearing(&owner.api_key(&["usage.read"]).await);
    let guess = app.stranger().bearing(&format!("svc_{}", "0".repeat(49)));
    for stranger in [app.stranger(), api_key, guess, owner.actor()] {
        let refused = tell(&stranger, "application/json", &one).await;
        assert_eq!(refused.problem(), "401 unauthenticated");
    }
    tell(&application, "application/json", &one).await.expect(200);
    assert!(app.command("pytake-api", &["service-credential", "list"]).contains("in force"));
    assert!(app.command("pytake-api", &["service-credential", "revoke", &id]).contains("revoked"));
    let revoked = tell(&application, "application/json", &one).await;
    assert_eq!(revoked.problem(), "401 unauthenticated");
    assert!(app.command("pytake-api", &["service-credential", "list"]).contains(" revoked "));
}

#[tokio::test]
async fn calls_that_cannot_be_read_say_why() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Enterprise").await;
    let (_, application) = app.application();
    let one = event(&owner.tenant_id, "a", "automation_runs", json!({}));
    let problem =
        async |media_type, body: &Value| tell(&application, media_type, body).await.problem();
    assert_eq!(problem("text/plain", &one).await, "415 unsupported-media-type");
    assert_eq!(problem(BATCH, &one).await, "422 validation-failed");
    assert_eq!(
        problem("application/cloudevents+json", &json!([one])).await,
        "422 validation-failed"
    );
    assert_eq!(problem(BATCH, &json!([])).await, "422 validation-failed");
    assert_eq!(problem(BATCH, &json!(vec![one.clone(); 1_001])).await, "422 validation-failed");
    let broken =
        application.send(Method::POST, PATH, Some(("application/json", b"{".to_vec()))).await;
    assert_eq!(broken.problem(), "400 malformed-request");
    let large = vec![b' '; 1_100_000];
    let large = application.send(Method::POST, PATH, Some(("application/json", large))).await;
    assert_eq!(large.problem(), "413 payload-too-large");
}
