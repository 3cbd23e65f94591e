//! Usage that the operator's applications tell of, as CloudEvents: each is counted once.

mod cloud_event;

use std::str;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use domain::faults::{Fault, Faults};
use domain::problem::ProblemKind;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::Value;
use store::meters;
use store::usage_events::{self, Intake, UsageEvent};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::{App, random};
use crate::extract::BODY_BYTES_MAX;
use crate::problem::Problem;
use crate::routes::usage::events::cloud_event::Expected;
use crate::service::Service;

/// Events of one call.
const EVENTS_MAX: usize = 1_000;

/// A CloudEvent 1.0 in the JSON format. Other attributes are ignored.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes what is parsed field by field, so that each event has its own answer"
)]
pub(crate) struct UsageEventBody {
    #[schema(example = "1.0")]
    specversion: String,
    /// Unique for its source: an event with the same tenant, source and id is counted once.
    #[schema(example = "run-8f14e45f")]
    id: String,
    #[schema(example = "/automations")]
    source: String,
    /// The meter; one whose source is `events`.
    #[schema(example = "automation_runs")]
    r#type: String,
    /// The tenant.
    #[schema(example = "tenant_01h455vb4pex5vsknk084sn02q")]
    subject: String,
    /// When it was used (RFC 3339), at most 35 days ago and 5 minutes ahead. Now when left out.
    #[schema(example = "2026-11-24T12:00:00Z")]
    time: Option<String>,
    data: Option<UsageEventData>,
}

/// How much was used.
#[derive(ToSchema)]
#[expect(dead_code, reason = "as above")]
pub(crate) struct UsageEventData {
    /// From 0 to 1,000,000,000; 1 when left out. Of a level, such as storage, how high it is.
    #[schema(example = 3)]
    quantity: Option<u64>,
    /// Of a meter that counts different values: which one.
    value: Option<String>,
}

/// What became of the events.
#[derive(Serialize, ToSchema)]
pub(crate) struct IntakeBody {
    #[schema(example = 2)]
    accepted: usize,
    /// Sent before; they are counted already.
    #[schema(example = 1)]
    duplicates: usize,
    #[schema(example = 0)]
    refused: usize,
    /// Each event, in the order of the call.
    events: Vec<IntakeEventBody>,
}

/// What became of one.
#[derive(Serialize, ToSchema)]
pub(crate) struct IntakeEventBody {
    /// As it was sent, where it was.
    id: Option<String>,
    /// `accepted`, `duplicate` or `refused`.
    #[schema(example = "accepted")]
    status: &'static str,
    /// What is wrong, and where: a JSON pointer into the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<ReasonBody>,
}

/// Why an event is not counted.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReasonBody {
    #[schema(example = "/type")]
    pointer: String,
    #[schema(example = "must be the name of a meter of the catalogue")]
    detail: String,
}

/// Submit usage events
///
/// For applications behind the edge, with a service key that the operator issues
/// (`pytake-api service-credential create NAME`): `Authorization: Bearer svc_…`. One event as
/// `application/cloudevents+json`, or up to 1,000 as `application/cloudevents-batch+json`; `application/json` is
/// either. Each event is accepted or refused for itself; send the whole call again after a failure, what was counted
/// is not counted again. If every event is refused, the answer is 422 and lists why.
#[utoipa::path(
    post,
    path = "/api/v1/usage/events",
    tag = "Usage",
    request_body(
        content(
            (UsageEventBody = "application/cloudevents+json"),
            (Vec<UsageEventBody> = "application/cloudevents-batch+json"),
        )
    ),
    responses((status = 200, body = IntakeBody)),
    security(("service_key" = [])),
)]
pub(crate) async fn submit(
    State(app): State<App>,
    service: Service,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<IntakeBody>, Problem> {
    let batch = is_batch(&headers)?;
    let values = values(&body.map_err(|rejection| unreadable(&rejection))?, batch)?;
    let mut tx = app.store.control().await?;

    let expected = Expected::new(meters::list(&mut tx).await?, app.now());
    let parsed: Vec<Result<UsageEvent, Fault>> =
        values.iter().map(|value| expected.event(value)).collect();

    let good: Vec<UsageEvent> = parsed.iter().flatten().cloned().collect();
    let intake = if good.is_empty() {
        Vec::new()
    } else {
        let call = Uuid::from_bytes(random());
        usage_events::submit(&mut tx, service.credential, call, &good).await?
    };

    service.caller.commit_control(tx).await?;
    answer(&values, parsed, intake)
}

/// Whether the body must be a list, or must not; `None`: as it is.
fn is_batch(headers: &HeaderMap) -> Result<Option<bool>, Problem> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    match media_type.trim().to_ascii_lowercase().as_str() {
        "application/cloudevents+json" => Ok(Some(false)),
        "application/cloudevents-batch+json" => Ok(Some(true)),
        "application/json" => Ok(None),
        _ => Err(Problem::new(
            ProblemKind::UnsupportedMediaType,
            "Send CloudEvents as `application/cloudevents+json`, or as `application/cloudevents-batch+json`.",
        )),
    }
}

fn unreadable(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("The body may have {BODY_BYTES_MAX} bytes; send less at once.");
        return Problem::new(ProblemKind::PayloadTooLarge, detail);
    }
    Problem::new(ProblemKind::MalformedRequest, "The body broke off; send it again.")
}

/// The events, not looked into yet.
fn values(body: &[u8], batch: Option<bool>) -> Result<Vec<Value>, Problem> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        Problem::new(ProblemKind::MalformedRequest, format!("The body is no JSON at {place}."))
    })?;
    let mut faults = Faults::new();
    let values = match (value, batch) {
        (Value::Array(values), None | Some(true)) => {
            if values.is_empty() || values.len() > EVENTS_MAX {
                faults.push("", format!("must be 1 to {EVENTS_MAX} events"));
            }
            values
        }
        (value @ Value::Object(_), None | Some(false)) => vec![value],
        (_, Some(true)) => {
            faults.push("", "must be a JSON array of events");
            Vec::new()
        }
        _ => {
            faults.push("", "must be a JSON object, the event");
            Vec::new()
        }
    };
    Ok(faults.finish(Some(values))?)
}

fn answer(
    values: &[Value],
    parsed: Vec<Result<UsageEvent, Fault>>,
    intake: Vec<Intake>,
) -> Result<Json<IntakeBody>, Problem> {
    let mut intake = intake.into_iter();
    let mut body = IntakeBody {
        accepted: 0,
        duplicates: 0,
        refused: 0,
        events: Vec::with_capacity(values.len()),
    };
    for (value, parsed) in values.iter().zip(parsed) {
        let outcome = match parsed {
            Err(fault) => Err(fault),
            Ok(_) => match intake.next() {
                Some(Intake::Accepted) => Ok("accepted"),
                Some(Intake::Duplicate) => Ok("duplicate"),
                Some(Intake::NoTenant) => Err(Fault {
                    pointer: "/subject".to_owned(),
                    detail: "must be the id of a tenant that was not closed".to_owned(),
                }),
                None => return Err(Problem::internal("an event has no outcome")),
            },
        };
        match outcome {
            Ok("accepted") => body.accepted += 1,
            Ok(_) => body.duplicates += 1,
            Err(_) => body.refused += 1,
        }
        let (status, reason) = match outcome {
            Ok(status) => (status, None),
            Err(Fault { pointer, detail }) => ("refused", Some(ReasonBody { pointer, detail })),
        };
        let id = value.get("id").and_then(Value::as_str).map(str::to_owned);
        body.events.push(IntakeEventBody { id, status, reason });
    }
    if body.refused < values.len() {
        return Ok(Json(body));
    }
    let mut faults = Faults::new();
    for (index, event) in body.events.into_iter().enumerate() {
        if let Some(ReasonBody { pointer, detail }) = event.reason {
            let place = if values.len() == 1 { pointer } else { format!("/{index}{pointer}") };
            faults.push(&place, detail);
        }
    }
    Err(faults.into())
}
