//! Events that the operator's applications tell a tenant's webhook endpoints of, such as `message.delivered`.

use axum::Json;
use axum::extract::State;
use domain::faults::Faults;
use domain::id::{TenantId, WebhookMessageId};
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::tenants;
use store::webhook_messages::{self, Audience, NewMessage, Published};
use utoipa::ToSchema;
use webhooks::event_type::EventType;
use webhooks::events::message::application_may_tell;

use crate::app::{App, random};
use crate::extract::{Body, Wire};
use crate::problem::Problem;
use crate::service::Service;

/// Longest id and ordering key, in characters.
const ID_CHARS_MAX: usize = 200;

/// What happened.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishEvent {
    #[schema(example = "tenant_01h455vb4pex5vsknk084sn02q")]
    tenant_id: String,
    /// Begins with `message.`.
    #[schema(example = "message.delivered")]
    r#type: String,
    /// Unique for the tenant: a second event under it is the first.
    #[schema(example = "wamid-8f14e45f:delivered")]
    id: String,
    /// When it happened (RFC 3339); now when left out.
    #[schema(example = "2026-11-24T12:00:00Z")]
    timestamp: Option<String>,
    /// Events of one key follow from each other, for endpoints that want them in order.
    #[schema(example = "wamid-8f14e45f")]
    ordering_key: Option<String>,
    /// What is said of it: an object.
    data: Value,
}

/// A checked [`PublishEvent`].
pub(crate) struct ToldEvent {
    tenant_id: TenantId,
    event_type: EventType,
    uid: String,
    occurred_at: Option<Timestamp>,
    ordering_key: Option<String>,
    data: Value,
}

impl Wire for PublishEvent {
    type Parsed = ToldEvent;

    fn parse(self) -> Result<ToldEvent, Faults> {
        let mut faults = Faults::new();
        let tenant_id = faults.check("/tenant_id", self.tenant_id.parse());
        let event_type: Option<EventType> = faults.check("/type", self.r#type.parse());
        if event_type.as_ref().is_some_and(|event_type| !application_may_tell(event_type)) {
            faults.push("/type", "must begin with `message.`; other events are PyTake's to tell");
        }
        let fits = |text: &str| (1..=ID_CHARS_MAX).contains(&text.chars().count());
        if !fits(&self.id) {
            faults.push("/id", format!("must have 1 to {ID_CHARS_MAX} characters"));
        }
        if self.ordering_key.as_deref().is_some_and(|key| !fits(key)) {
            faults.push("/ordering_key", format!("must have 1 to {ID_CHARS_MAX} characters"));
        }
        let occurred_at = self.timestamp.and_then(|text| {
            let expected = "must be a time such as `2026-11-24T12:00:00Z`";
            faults.check("/timestamp", text.parse::<Timestamp>().map_err(|_| expected))
        });
        if !self.data.is_object() {
            faults.push("/data", "must be a JSON object");
        }
        let told = tenant_id.zip(event_type).map(|(tenant_id, event_type)| ToldEvent {
            tenant_id,
            event_type,
            uid: self.id,
            occurred_at,
            ordering_key: self.ordering_key,
            data: self.data,
        });
        faults.finish(told)
    }
}

/// What became of an event.
#[derive(Serialize, ToSchema)]
pub(crate) struct PublishedBody {
    /// The message; `null` where the tenant has no webhook endpoint, and nothing is kept.
    #[schema(example = "msg_01h455vb4pex5vsknk084sn02q")]
    message_id: Option<String>,
    /// To how many endpoints it is on its way.
    #[schema(example = 1)]
    endpoints: u32,
    /// It was told before.
    duplicate: bool,
}

/// Publish an event
///
/// For applications behind the edge, with a service key that the operator issues
/// (`pytake-api service-credential create NAME`): `Authorization: Bearer svc_…`. Send it again after a failure: an event
/// with the same tenant and id is told once.
#[utoipa::path(
    post,
    path = "/api/v1/events",
    tag = "Webhooks",
    request_body = PublishEvent,
    responses((status = 202, body = PublishedBody)),
    security(("service_key" = [])),
)]
pub(crate) async fn publish(
    State(app): State<App>,
    service: Service,
    body: Body<PublishEvent>,
) -> Result<(StatusCode, Json<PublishedBody>), Problem> {
    let told = body.value;
    let now = app.now();
    let occurred_at = told.occurred_at.unwrap_or(now);
    let payload = webhooks::body(&told.event_type, occurred_at, &told.data);
    let message = NewMessage {
        id: WebhookMessageId::new(now, random()),
        body: payload.map_err(|error| at("/data", error))?,
        event_type: told.event_type,
        occurred_at,
        uid: Some(told.uid),
        ordering_key: told.ordering_key,
    };
    let mut tx = app.store.begin(told.tenant_id).await?;
    match tenants::get(&mut tx).await {
        Err(store::Error::NotFound) => return Err(at("/tenant_id", "must be the id of a tenant")),
        other => other?,
    };
    let sealer = &app.keys.sealer;
    let published =
        webhook_messages::publish(&mut tx, sealer, &message, Audience::Subscribers, now).await?;

    service.caller.commit(tx).await?;
    let (message_id, endpoints, duplicate) = match published {
        Published::New(endpoints) => (Some(message.id), endpoints, false),
        Published::Duplicate(first) => (Some(first), 0, true),
        Published::Nobody => (None, 0, false),
    };
    let message_id = message_id.map(|id| id.to_string());
    Ok((StatusCode::ACCEPTED, Json(PublishedBody { message_id, endpoints, duplicate })))
}

fn at(pointer: &str, detail: impl std::fmt::Display) -> Problem {
    let mut faults = Faults::new();
    faults.push(pointer, detail);
    faults.into()
}
