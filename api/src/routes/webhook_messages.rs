//! What a tenant's webhook endpoints were told.

use axum::Json;
use axum::extract::{Query, State};
use domain::id::WebhookMessageId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::webhook_messages::{self, Message, payload_place};
use utoipa::ToSchema;
use vault::Purpose;

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::extract::{PageQuery, PathId, malformed_query};
use crate::problem::Problem;
use crate::routes::List;

/// A message.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageBody {
    /// `webhook-id`.
    #[schema(example = "msg_01h455vb4pex5vsknk084sn02q")]
    id: String,
    #[schema(example = "invoice.paid")]
    event_type: String,
    occurred_at: String,
    /// The publisher's own id, where it named one.
    event_id: Option<String>,
    /// Events of one key follow from each other.
    ordering_key: Option<String>,
}

impl From<Message> for MessageBody {
    fn from(message: Message) -> Self {
        Self {
            id: message.id.to_string(),
            event_type: message.event_type,
            occurred_at: message.occurred_at.to_string(),
            event_id: message.uid,
            ordering_key: message.ordering_key,
        }
    }
}

/// A message with what was sent.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageWithPayload {
    #[serde(flatten)]
    message: MessageBody,
    /// The body.
    payload: Value,
}

#[derive(Deserialize)]
pub(crate) struct MessageQuery {
    event_type: Option<String>,
}

/// List webhook messages
///
/// Newest first; of one event type where one is named. They are kept as long as the plan says.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/webhook-messages",
    tag = "Webhooks",
    params(
        ("tenant_id" = String, Path),
        ("event_type" = Option<String>, Query),
        ("limit" = Option<u8>, Query),
        ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = List<MessageBody>)),
    extensions(("x-permission" = json!("ViewWebhooks"))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    auth: Authorized<needs::ViewWebhooks>,
    PageQuery(page): PageQuery,
    query: Result<Query<MessageQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<List<MessageBody>>, Problem> {
    let Query(MessageQuery { event_type }) = query.map_err(|_| malformed_query())?;
    let mut tx = auth.begin(&app).await?;

    let rows = webhook_messages::list(&mut tx, event_type.as_deref(), page).await?;

    Ok(Json(List::of(rows, MessageBody::from)))
}

/// Show a webhook message
///
/// With what was sent.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/webhook-messages/{message_id}",
    tag = "Webhooks",
    params(("tenant_id" = String, Path), ("message_id" = String, Path)),
    responses((status = 200, body = MessageWithPayload)),
    extensions(("x-permission" = json!("ViewWebhooks"))),
)]
pub(crate) async fn show(
    State(app): State<App>,
    auth: Authorized<needs::ViewWebhooks>,
    PathId(id): PathId<WebhookMessageId>,
) -> Result<Json<MessageWithPayload>, Problem> {
    let mut tx = auth.begin(&app).await?;

    let (message, sealed) = webhook_messages::get(&mut tx, id).await?;
    let keys = app.keys.sealer.keys_there(&mut tx, Purpose::Webhooks).await?;

    let body = keys.open(payload_place(auth.tenant_id(), id), &sealed)?;
    let payload = serde_json::from_slice(body.expose()).map_err(Problem::internal)?;
    Ok(Json(MessageWithPayload { message: message.into(), payload }))
}
