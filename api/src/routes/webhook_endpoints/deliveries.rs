//! What was sent to an endpoint and how it went; sending one message again.

use axum::Json;
use axum::extract::{Query, State};
use domain::event::Action;
use domain::faults::Faults;
use domain::id::{WebhookEndpointId, WebhookMessageId};
use domain::problem::ProblemKind;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::webhook_deliveries::{self, Attempt, Delivery, DeliveryFilter, Resent, answer_place};
use store::webhook_endpoints;
use utoipa::ToSchema;
use vault::{DataKeys, Purpose};

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::extract::{PageQuery, PathId, PathIds, malformed_query};
use crate::problem::Problem;
use crate::routes::List;
use crate::routes::webhook_endpoints::test_event::SentBody;

/// How a delivery may stand.
const STATUSES: [&str; 5] = ["Pending", "Sending", "Delivered", "Failed", "Held"];

/// A message on its way to an endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryBody {
    #[schema(example = "msg_01h455vb4pex5vsknk084sn02q")]
    message_id: String,
    #[schema(example = "endpoint_01h455vb4pex5vsknk084sn02q")]
    endpoint_id: String,
    #[schema(example = "invoice.paid")]
    event_type: String,
    /// `Pending`, `Sending`, `Delivered`, `Failed` (given up), or `Held` (its endpoint was disabled).
    #[schema(example = "Pending")]
    status: String,
    /// How often it was tried.
    attempts: u32,
    next_attempt_at: Option<String>,
    last_status_code: Option<u16>,
    /// Why the last attempt failed, in a word.
    #[schema(example = "timeout")]
    last_error: Option<String>,
    created_at: String,
    /// When it got there, or was given up.
    ended_at: Option<String>,
}

impl From<Delivery> for DeliveryBody {
    fn from(delivery: Delivery) -> Self {
        Self {
            message_id: delivery.message_id.to_string(),
            endpoint_id: delivery.endpoint_id.to_string(),
            event_type: delivery.event_type,
            status: delivery.status,
            attempts: delivery.attempts,
            next_attempt_at: delivery.next_attempt_at.map(|at| at.to_string()),
            last_status_code: delivery.last_status_code,
            last_error: delivery.last_error_code,
            created_at: delivery.created_at.to_string(),
            ended_at: delivery.ended_at.map(|at| at.to_string()),
        }
    }
}

/// One attempt.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttemptBody {
    /// From 1.
    number: u32,
    started_at: String,
    took_ms: u32,
    /// `null`: there was no answer.
    status_code: Option<u16>,
    /// Why it failed; `null`: it got through.
    error: Option<AttemptErrorBody>,
    /// The first bytes of the answer.
    answer: Option<String>,
}

/// Why an attempt failed.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttemptErrorBody {
    #[schema(example = "timeout")]
    code: String,
    #[schema(example = "the server did not answer in time")]
    detail: String,
}

impl AttemptBody {
    fn new(attempt: Attempt, answer: Option<String>) -> Self {
        Self {
            number: attempt.number,
            started_at: attempt.started_at.to_string(),
            took_ms: attempt.took_ms,
            status_code: attempt.status_code,
            error: attempt.error.map(|(code, detail)| AttemptErrorBody { code, detail }),
            answer,
        }
    }
}

/// A delivery with its attempts.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryWithAttempts {
    #[serde(flatten)]
    delivery: DeliveryBody,
    /// Newest first, a hundred at most.
    log: Vec<AttemptBody>,
}

#[derive(Deserialize)]
pub(crate) struct DeliveryQuery {
    status: Option<String>,
}

/// List deliveries to a webhook endpoint
///
/// Newest first; of one status where one is named.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/webhook-endpoints/{endpoint_id}/deliveries",
    tag = "Webhooks",
    params(
        ("tenant_id" = String, Path),
        ("endpoint_id" = String, Path),
        ("status" = Option<String>, Query, description = "`Pending`, `Sending`, `Delivered`, `Failed` or `Held`"),
        ("limit" = Option<u8>, Query),
        ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = List<DeliveryBody>)),
    extensions(
        ("x-permission" = json!("ViewWebhooks")),
        ("x-problems" = json!(["validation-failed"])),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    auth: Authorized<needs::ViewWebhooks>,
    PathId(endpoint_id): PathId<WebhookEndpointId>,
    PageQuery(page): PageQuery,
    query: Result<Query<DeliveryQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<List<DeliveryBody>>, Problem> {
    let Query(DeliveryQuery { status }) = query.map_err(|_| malformed_query())?;
    if status.as_deref().is_some_and(|status| !STATUSES.contains(&status)) {
        let mut faults = Faults::new();
        faults.push("/status", format!("must be one of {}", STATUSES.join(", ")));
        return Err(faults.into());
    }
    let mut tx = auth.begin(&app).await?;
    webhook_endpoints::get(&mut tx, endpoint_id).await?;

    let filter = DeliveryFilter { message_id: None, status };
    let rows = webhook_deliveries::list(&mut tx, endpoint_id, &filter, page).await?;

    Ok(Json(List::of(rows, DeliveryBody::from)))
}

/// Show a delivery
///
/// With every attempt: what was answered, how long it took, and why it failed.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/webhook-endpoints/{endpoint_id}/deliveries/{message_id}",
    tag = "Webhooks",
    params(
        ("tenant_id" = String, Path),
        ("endpoint_id" = String, Path),
        ("message_id" = String, Path),
    ),
    responses((status = 200, body = DeliveryWithAttempts)),
    extensions(("x-permission" = json!("ViewWebhooks"))),
)]
pub(crate) async fn show(
    State(app): State<App>,
    auth: Authorized<needs::ViewWebhooks>,
    PathIds(endpoint_id, message_id): PathIds<WebhookEndpointId, WebhookMessageId>,
) -> Result<Json<DeliveryWithAttempts>, Problem> {
    let mut tx = auth.begin(&app).await?;

    let delivery = webhook_deliveries::get(&mut tx, endpoint_id, message_id).await?;
    let attempts = webhook_deliveries::attempts(&mut tx, endpoint_id, message_id).await?;
    let keys = app.keys.sealer.keys_there(&mut tx, Purpose::Webhooks).await?;

    let place = answer_place(auth.tenant_id(), message_id);
    let log = attempts.into_iter().map(|attempt| {
        let answer = attempt.answer_sealed.as_deref().and_then(|sealed| open(&keys, place, sealed));
        AttemptBody::new(attempt, answer)
    });
    Ok(Json(DeliveryWithAttempts { delivery: delivery.into(), log: log.collect() }))
}

/// An answer as text; one that does not open any more is none.
fn open(keys: &DataKeys, place: vault::Place, sealed: &[u8]) -> Option<String> {
    let bytes = keys.open(place, sealed).ok()?;
    Some(String::from_utf8_lossy(bytes.expose()).into_owned())
}

/// Send a message again
///
/// At once, and if that fails by the whole schedule. Its `webhook-id` is the same.
#[utoipa::path(
    post,
    path = "/api/v1/tenants/{tenant_id}/webhook-endpoints/{endpoint_id}/deliveries/{message_id}/resend",
    tag = "Webhooks",
    params(
        ("tenant_id" = String, Path),
        ("endpoint_id" = String, Path),
        ("message_id" = String, Path),
    ),
    responses((status = 202, body = SentBody)),
    extensions(("x-permission" = json!("ManageWebhooks")), ("x-problems" = json!(["conflict"]))),
)]
pub(crate) async fn resend(
    State(app): State<App>,
    auth: Authorized<needs::ManageWebhooks>,
    PathIds(endpoint_id, message_id): PathIds<WebhookEndpointId, WebhookMessageId>,
) -> Result<(StatusCode, Json<SentBody>), Problem> {
    let mut tx = auth.begin(&app).await?;
    let endpoint = webhook_endpoints::get(&mut tx, endpoint_id).await?;
    super::check_enabled(&endpoint)?;

    if webhook_deliveries::resend(&mut tx, endpoint_id, message_id).await? == Resent::UnderWay {
        return Err(Problem::new(ProblemKind::Conflict, "The message is being sent just now."));
    }
    webhook_endpoints::unpause(&mut tx, endpoint_id).await?;
    let changes = json!({ "endpoint_id": endpoint_id });
    auth.caller.audit(&app, &mut tx, Action::WebhookResent, message_id, changes).await?;

    auth.caller.commit(tx).await?;
    Ok((StatusCode::ACCEPTED, Json(SentBody { message_id: message_id.to_string() })))
}
