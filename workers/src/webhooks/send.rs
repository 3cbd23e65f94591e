//! One attempt: opens the payload, signs it, posts it, and says what follows.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use outbound::{Answer, Failure};
use store::webhook_deliveries::answer_place;
use store::webhook_dispatch::{Leased, Outcome, Settlement};
use store::webhook_messages::payload_place;
use uuid::Uuid;
use webhooks::schedule::pause_after;
use webhooks::signature::signatures;

use crate::app::App;
use crate::jobs::webhooks::judge;
use crate::webhooks::target::{Target, Unknown};

static ID: HeaderName = HeaderName::from_static("webhook-id");
static TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
static SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Longest silence that an endpoint gets for all its messages by asking for it.
const PAUSE_MAX: Duration = Duration::from_secs(3600);
/// Of an answer that says well: so much is kept, in bytes.
const WELL_BYTES_MAX: usize = 1024;

/// Makes the attempt. `None`: it could not be made, and nothing is to be settled; when the lease ends somebody else
/// tries.
pub(super) async fn attempt(app: &App, lease: Uuid, leased: Leased) -> Option<Settlement> {
    let target = app
        .webhooks
        .targets
        .get(app, leased.tenant_id, leased.endpoint_id, leased.endpoint_version)
        .await;
    let started_at = app.clock.now();
    let settle = |outcome, took, status_code, error| Settlement {
        tenant_id: leased.tenant_id,
        endpoint_id: leased.endpoint_id,
        message_id: leased.message_id,
        lease,
        outcome,
        pause_until: None,
        started_at,
        took,
        status_code,
        error,
        answer_sealed: None,
    };
    let target = match target {
        Ok(target) => target,
        Err(error @ Unknown::Gone) => {
            let error = Some(("gone", error.to_string()));
            return Some(settle(Outcome::Failed, Duration::ZERO, None, error));
        }
        Err(Unknown::Failed(error)) => {
            tracing::warn!(endpoint = %leased.endpoint_id, "an endpoint cannot be looked up: {error}");
            return None;
        }
    };
    let Some((headers, body)) = request(&target, &leased, started_at) else {
        let error = Some(("gone", "the message does not open any more".to_owned()));
        return Some(settle(Outcome::Failed, Duration::ZERO, None, error));
    };
    let begun = Instant::now();
    let answer = app.webhooks.client.post(&target.url, headers, body).await;
    let took = begun.elapsed();
    let (status, error) = judge_answer(&answer);
    let ended_at = app.clock.now();
    let asked = asked_for(&answer, ended_at);
    let outcome = match (&error, status) {
        (None, _) => Outcome::Delivered,
        (Some(_), Some(StatusCode::GONE)) => {
            // Before it is settled: killed in between, the endpoint answers 410 once more.
            if let Err(error) = judge::gone(app, leased.tenant_id, leased.endpoint_id).await {
                tracing::warn!(endpoint = %leased.endpoint_id, "an endpoint is not disabled: {error:#}");
                return None;
            }
            Outcome::Failed
        }
        (Some(_), _) => retry(&leased, asked, ended_at),
    };
    if let (0, Ok(answer)) = (leased.attempts, &answer) {
        app.metrics.webhooks.first_byte(leased.waited + answer.first_byte_after);
    }
    Some(Settlement {
        pause_until: asked.and_then(|pause| after(ended_at, pause.min(PAUSE_MAX))),
        answer_sealed: sealed_answer(app, &target, &leased, &answer),
        ..settle(outcome, took, status.map(|status| status.as_u16()), error)
    })
}

/// The headers and the body; `None` when the body does not open: its key was destroyed.
fn request(target: &Target, leased: &Leased, now: Timestamp) -> Option<(HeaderMap, Bytes)> {
    let place = payload_place(leased.tenant_id, leased.message_id);
    let body = target.keys.open(place, &leased.payload_sealed).ok()?;
    let body = Bytes::copy_from_slice(body.expose());
    let id = leased.message_id.to_string();
    let timestamp = now.as_second();
    let signature = signatures(target.secrets(now), &id, timestamp, &body).ok()?;
    let mut headers = target.headers.clone();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ID.clone(), HeaderValue::try_from(id).ok()?);
    headers.insert(TIMESTAMP.clone(), HeaderValue::from(timestamp));
    headers.insert(SIGNATURE.clone(), HeaderValue::try_from(signature).ok()?);
    Some((headers, body))
}

/// What was answered, and why that is a failure, if it is: only 2xx means received.
fn judge_answer(
    answer: &Result<Answer, Failure>,
) -> (Option<StatusCode>, Option<(&'static str, String)>) {
    match answer {
        Err(failure) => (None, Some((failure.code(), failure.to_string()))),
        Ok(answer) => {
            let status = answer.status;
            let error = match status {
                _ if status.is_success() => None,
                StatusCode::GONE => Some(("gone", "answered 410: wants nothing more".to_owned())),
                _ if status.is_redirection() => {
                    Some(("redirect", format!("answered {status}; redirects are not followed")))
                }
                _ => Some(("status", format!("answered {status}"))),
            };
            (Some(status), error)
        }
    }
}

/// Whether and when it is tried again.
fn retry(leased: &Leased, asked: Option<Duration>, now: Timestamp) -> Outcome {
    let pause = pause_after(leased.failures + 1, rand::random(), asked);
    pause.and_then(|pause| after(now, pause)).map_or(Outcome::Failed, Outcome::Retry)
}

fn after(now: Timestamp, pause: Duration) -> Option<Timestamp> {
    now.checked_add(SignedDuration::try_from(pause).ok()?).ok()
}

/// What a server that cannot just now asks for: too many requests, or unavailable.
fn asked_for(answer: &Result<Answer, Failure>, now: Timestamp) -> Option<Duration> {
    let answer = answer.as_ref().ok()?;
    let busy = matches!(
        answer.status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    answer.retry_after.filter(|_| busy).map(|after| after.from(now))
}

/// The first bytes of the answer, for people to see. Of one that said well, fewer.
fn sealed_answer(
    app: &App,
    target: &Target,
    leased: &Leased,
    answer: &Result<Answer, Failure>,
) -> Option<Vec<u8>> {
    let answer = answer.as_ref().ok().filter(|answer| !answer.body.is_empty())?;
    let length = if answer.status.is_success() {
        WELL_BYTES_MAX
    } else {
        outbound::Config::ANSWER_BYTES_MAX
    };
    let bytes = answer.body.get(..length).unwrap_or(&answer.body);
    let place = answer_place(leased.tenant_id, leased.message_id);
    target.keys.seal(place, bytes, app.sealer.entropy()).ok()
}
