//! A test event, which goes the way of every other.

use axum::Json;
use axum::extract::State;
use domain::event::Action;
use domain::id::WebhookEndpointId;
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use store::webhook_endpoints;
use store::webhook_messages::Audience;
use utoipa::ToSchema;
use webhooks::events::endpoint::{EndpointTest, TestData};

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::events;
use crate::extract::PathId;
use crate::problem::Problem;

/// A message that is on its way.
#[derive(Serialize, ToSchema)]
pub(crate) struct SentBody {
    /// How it goes: `GET …/webhook-endpoints/{endpoint_id}/deliveries/{message_id}`.
    #[schema(example = "msg_01h455vb4pex5vsknk084sn02q")]
    pub(super) message_id: String,
}

/// Test a webhook endpoint
///
/// Sends `webhook_endpoint.test` to it at once, whatever events it wants: by the same way, signed alike.
#[utoipa::path(
    post,
    path = "/api/v1/tenants/{tenant_id}/webhook-endpoints/{endpoint_id}/test",
    tag = "Webhooks",
    params(("tenant_id" = String, Path), ("endpoint_id" = String, Path)),
    responses((status = 202, body = SentBody)),
    extensions(("x-permission" = json!("ManageWebhooks")), ("x-problems" = json!(["conflict"]))),
)]
pub(crate) async fn send(
    State(app): State<App>,
    auth: Authorized<needs::ManageWebhooks>,
    PathId(id): PathId<WebhookEndpointId>,
) -> Result<(StatusCode, Json<SentBody>), Problem> {
    let mut tx = auth.begin(&app).await?;
    let endpoint = webhook_endpoints::get(&mut tx, id).await?;
    super::check_enabled(&endpoint)?;

    webhook_endpoints::unpause(&mut tx, id).await?;
    let event = EndpointTest(TestData::new(id.to_string()));
    let (message_id, _) = events::publish_to(&app, &mut tx, &event, Audience::Only(id)).await?;
    auth.caller.audit(&app, &mut tx, Action::WebhookEndpointTested, id, json!({})).await?;

    auth.caller.commit(tx).await?;
    Ok((StatusCode::ACCEPTED, Json(SentBody { message_id: message_id.to_string() })))
}
