//! Usage as a tenant sees it: totals, series, live.

use std::time::Duration;

use domain::clock::{Clock as _, SystemClock};
use harness::{Answer, App, Owner, poll_async};
use serde_json::{Value, json};

const SEEN_WITHIN: Duration = Duration::from_secs(20);

/// The figure of a meter.
fn used(usage: &Value, meter: &str) -> Value {
    let meters = usage["meters"].as_array().expect("meters");
    let found = meters.iter().find(|body| body["meter"] == meter);
    found.unwrap_or_else(|| panic!("no {meter} in {usage}"))["used"].clone()
}

/// Waits until usage shows so many calls; every look is a call itself, and is not waited for.
async fn shown(owner: &Owner, query: &str, at_least: u64) -> Value {
    let path = owner.path(&format!("/usage{query}"));
    let shown = poll_async(SEEN_WITHIN, async || {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let usage = owner.get(&path).await.expect(200).json();
        used(&usage, "api_calls").as_u64().is_some_and(|used| used >= at_least).then_some(usage)
    });
    shown.await.expect("the calls are never shown")
}

/// Quantities of a series whose points have this value under this name.
fn sum(usage: &Value, name: &str, value: &Value) -> u64 {
    let points = usage["series"]["data"].as_array().expect("points");
    let of = points.iter().filter(|point| &point[name] == value);
    of.map(|point| point["quantity"].as_u64().expect("a number")).sum()
}

#[tokio::test]
async fn totals_and_series_show_what_was_used_within_seconds() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Enterprise").await;
    let key = owner.api_key(&["usage.read"]).await;
    let program = app.stranger().bearing(&key);
    for _ in 0..6 {
        program.get("/api/v1/plans").await.expect(200);
        program.get("/api/v1/dashboard").await.expect(200);
    }
    program.get(&owner.path("/users")).await.expect(403);

    let usage = shown(&owner, "?group_by=route&meter=api_calls", 7).await;
    assert_eq!(used(&usage, "users"), 1);
    assert_eq!(used(&usage, "messages"), 0);
    assert_eq!(used(&usage, "active_users"), 1);
    // Nobody has told how much is stored, which is not the same as nothing.
    assert_eq!(used(&usage, "storage_mb"), Value::Null);
    assert_eq!(sum(&usage, "route", &json!("/api/v1/dashboard")), 6);
    assert_eq!(
        sum(&usage, "route", &json!("/api/v1/plans")),
        0,
        "public routes are nobody's usage"
    );

    let by = async |group: &str| {
        let query = format!("/usage?granularity=hour&meter=api_calls&group_by={group}");
        owner.get(&owner.path(&query)).await.expect(200).json()
    };
    let by_key = by("key").await;
    let keys = owner.get(&owner.path("/api-keys")).await.expect(200).json();
    assert_eq!(sum(&by_key, "api_key_id", &keys["data"][0]["id"]), 6);
    let last_used = keys["data"][0]["last_used_at"].as_str().expect("it was used");
    let last_used: jiff::Timestamp = last_used.parse().expect("a time");
    assert!(SystemClock.now().duration_since(last_used).as_secs() < 180, "{last_used}");
    let by_status = by("status").await;
    assert_eq!(sum(&by_status, "status", &json!("refused")), 1);
    assert!(sum(&by_status, "status", &json!("2xx")) >= 7);

    // The whole is the sum of its parts.
    let daily = shown(&owner, "?granularity=day&meter=api_calls", 7).await;
    assert_eq!(json!(sum(&daily, "meter", &json!("api_calls"))), used(&daily, "api_calls"));
    assert_eq!(daily["series"]["granularity"], "day");
    let until: jiff::Timestamp =
        daily["complete_until"].as_str().expect("a time").parse().expect("a time");
    assert!(SystemClock.now().duration_since(until).as_secs() < 120, "{until}");
}

#[tokio::test]
async fn a_series_that_cannot_be_shown_says_why() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let asked = async |query: &str| owner.get(&owner.path(&format!("/usage?{query}"))).await;
    for (query, pointer) in [
        ("granularity=minute", "/granularity"),
        ("group_by=colour", "/group_by"),
        ("meter=mesages", "/meter"),
        ("from=yesterday", "/from"),
        ("to=2026-13-01", "/to"),
        ("from=2026-11-02&to=2026-11-01", "/to"),
        ("granularity=hour&from=2026-01-01&to=2026-11-01", "/from"),
        ("from=-009999-01-01T00:00:00Z", "/from"),
    ] {
        let answer = asked(query).await;
        assert_eq!(answer.problem(), "422 validation-failed", "{query}");
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{query}");
    }
    assert_eq!(asked("from=1&from=2").await.problem(), "400 malformed-request");
    let none = asked("from=2026-01-01&to=2026-01-31&group_by=key").await.expect(200).json();
    assert_eq!(none["series"]["data"], json!([]));
    assert!(owner.get(&owner.path("/usage")).await.expect(200).json().get("series").is_none());
}

/// The next event's data on a stream.
async fn event(stream: &mut reqwest::Response, text: &mut String) -> Value {
    loop {
        if let Some((event, rest)) = text.split_once("\n\n") {
            let data =
                event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
            let rest = rest.to_owned();
            *text = rest;
            if let Some(data) = data {
                return serde_json::from_str(&data).expect("JSON");
            }
            continue;
        }
        let chunk = tokio::time::timeout(SEEN_WITHIN, stream.chunk()).await.expect("in time");
        let chunk = chunk.expect("a stream").expect("not its end");
        text.push_str(std::str::from_utf8(&chunk).expect("text"));
    }
}

#[tokio::test]
async fn a_live_view_is_told_of_each_change() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let key = owner.api_key(&["usage.read"]).await;
    let url = format!("{}{}", app.url(), owner.path("/usage/stream"));
    let client = reqwest::Client::new();
    let mut stream = client.get(&url).bearer_auth(&key).send().await.expect("a stream");
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    let first = event(&mut stream, &mut text).await;
    assert_eq!(used(&first, "users"), 1);

    let program = app.stranger().bearing(&key);
    for _ in 0..9 {
        program.get("/api/v1/dashboard").await.expect(200);
    }
    let mut last = first;
    // The stream itself and the making of the key are calls, too.
    while used(&last, "api_calls").as_u64().is_none_or(|used| used < 11) {
        last = event(&mut stream, &mut text).await;
    }
    assert_eq!(used(&last, "api_calls"), 11);
    drop(stream);
    let refused: Answer = app.stranger().get(&owner.path("/usage/stream")).await;
    assert_eq!(refused.status, 401);
}
