//! Messages that are sent to an endpoint again, by the thousand: begun here, done by a job, with progress.

use axum::Json;
use axum::extract::State;
use domain::event::Action;
use domain::faults::Faults;
use domain::id::{WebhookEndpointId, WebhookReplayId};
use domain::problem::ProblemKind;
use http::StatusCode;
use jiff::Timestamp;
use jobs::catalog::Webhooks;
use jobs::{Options, enqueue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::webhook_endpoints;
use store::webhook_replays::{self, Replay, Scope};
use utoipa::ToSchema;
use webhooks::event_type::EventPattern;

use crate::app::{App, random};
use crate::authorized::{Authorized, needs};
use crate::extract::{Body, PageQuery, PathId, PathIds, Wire};
use crate::problem::Problem;
use crate::routes::List;
use crate::routes::webhook_endpoints::settings::patterns_at;

/// A replay.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReplayBody {
    #[schema(example = "replay_01h455vb4pex5vsknk084sn02q")]
    id: String,
    #[schema(example = "Failed")]
    scope: &'static str,
    event_types: Option<Vec<String>>,
    since: String,
    until: String,
    /// `Running`, `Done` or `Canceled`.
    #[schema(example = "Running")]
    status: String,
    /// Messages of that time.
    #[schema(example = 120_000)]
    total: u64,
    /// How many of them were looked at.
    #[schema(example = 40_000)]
    seen: u64,
    /// How many are sent again.
    #[schema(example = 731)]
    queued: u64,
    created_at: String,
    ended_at: Option<String>,
}

impl From<Replay> for ReplayBody {
    fn from(replay: Replay) -> Self {
        let texts =
            |patterns: Vec<EventPattern>| patterns.iter().map(ToString::to_string).collect();
        Self {
            id: replay.id.to_string(),
            scope: replay.scope.as_str(),
            event_types: replay.event_types.map(texts),
            since: replay.since.to_string(),
            until: replay.until.to_string(),
            status: replay.status,
            total: replay.total,
            seen: replay.seen,
            queued: replay.queued,
            created_at: replay.created_at.to_string(),
            ended_at: replay.ended_at.map(|at| at.to_string()),
        }
    }
}

/// What is to be sent again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateReplay {
    /// Messages from then on (RFC 3339); as long as they are kept when left out.
    #[schema(example = "2026-11-24T00:00:00Z")]
    since: Option<String>,
    /// Messages before then; now when left out.
    until: Option<String>,
    /// `Failed` (the default): what was given up, or held while the endpoint was disabled. `All`: whatever the endpoint
    /// wants, sent before or not.
    #[schema(example = "Failed")]
    scope: Option<String>,
    /// Only events of these types.
    event_types: Option<Vec<String>>,
}

/// A checked [`CreateReplay`].
pub(crate) struct NewReplay {
    since: Timestamp,
    until: Option<Timestamp>,
    scope: Scope,
    event_types: Option<Vec<EventPattern>>,
}

impl Wire for CreateReplay {
    type Parsed = NewReplay;

    fn parse(self) -> Result<NewReplay, Faults> {
        let mut faults = Faults::new();
        let expected = "must be a time such as `2026-11-24T00:00:00Z`, since 1970";
        let mut time = |pointer: &str, text: Option<String>| {
            let text = text?;
            let time = text.parse().ok().filter(|at| *at >= Timestamp::UNIX_EPOCH);
            faults.check(pointer, time.ok_or(expected))
        };
        let since = time("/since", self.since).unwrap_or(Timestamp::UNIX_EPOCH);
        let until = time("/until", self.until);
        if until.is_some_and(|until| until <= since) {
            faults.push("/until", "must be after `since`");
        }
        let scope = self.scope.as_deref().unwrap_or(Scope::Failed.as_str());
        let scope = faults.check("/scope", Scope::parse(scope).ok_or("must be `Failed` or `All`"));
        let event_types =
            self.event_types.map(|texts| patterns_at(&mut faults, "/event_types", &texts));
        faults.finish(scope.map(|scope| NewReplay { since, until, scope, event_types }))
    }
}

/// Replay messages
///
/// Sends messages to the endpoint again, behind what is new; each under its own `webhook-id`. One replay of an endpoint
/// runs at a time.
#[utoipa::path(
    post,
    path = "/api/v1/tenants/{tenant_id}/webhook-endpoints/{endpoint_id}/replays",
    tag = "Webhooks",
    params(("tenant_id" = String, Path), ("endpoint_id" = String, Path)),
    request_body = CreateReplay,
    responses((status = 202, body = ReplayBody)),
    extensions(("x-permission" = json!("ManageWebhooks")), ("x-problems" = json!(["conflict"]))),
)]
pub(crate) async fn create(
    State(app): State<App>,
    auth: Authorized<needs::ManageWebhooks>,
    PathId(endpoint_id): PathId<WebhookEndpointId>,
    body: Body<CreateReplay>,
) -> Result<(StatusCode, Json<ReplayBody>), Problem> {
    let mut tx = auth.begin(&app).await?;
    let endpoint = webhook_endpoints::get(&mut tx, endpoint_id).await?;
    super::check_enabled(&endpoint)?;

    let now = app.now();
    let NewReplay { since, until, scope, event_types } = body.value;
    let id = WebhookReplayId::new(now, random());
    let begun = Replay::new(id, endpoint_id, scope, since, now);
    let replay = Replay { event_types, until: until.unwrap_or(now), ..begun };
    if replay.until <= replay.since {
        let mut faults = Faults::new();
        faults.push("/since", "must not be ahead");
        return Err(faults.into());
    }
    if !webhook_replays::begin(&mut tx, &replay).await? {
        return Err(Problem::new(
            ProblemKind::Conflict,
            "A replay of this endpoint is running; wait until it is done, or cancel it.",
        ));
    }
    let job = Webhooks::Replay { tenant_id: auth.tenant_id(), replay_id: replay.id };
    enqueue(&mut tx, &job, Options::default()).await?;
    let changes = json!({ "endpoint_id": endpoint_id, "scope": scope.as_str(), "since": since });
    auth.caller.audit(&app, &mut tx, Action::WebhookReplayStarted, replay.id, changes).await?;
    let replay = webhook_replays::get(&mut tx, replay.id).await?;

    auth.caller.commit(tx).await?;
    Ok((StatusCode::ACCEPTED, Json(replay.into())))
}

/// List replays of a webhook endpoint
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/webhook-endpoints/{endpoint_id}/replays",
    tag = "Webhooks",
    params(
        ("tenant_id" = String, Path),
        ("endpoint_id" = String, Path),
        ("limit" = Option<u8>, Query),
        ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = List<ReplayBody>)),
    extensions(("x-permission" = json!("ViewWebhooks"))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    auth: Authorized<needs::ViewWebhooks>,
    PathId(endpoint_id): PathId<WebhookEndpointId>,
    PageQuery(page): PageQuery,
) -> Result<Json<List<ReplayBody>>, Problem> {
    let mut tx = auth.begin(&app).await?;

    let rows = webhook_replays::list(&mut tx, endpoint_id, page).await?;

    Ok(Json(List::of(rows, ReplayBody::from)))
}

/// Show a replay
///
/// How far it is.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/webhook-endpoints/{endpoint_id}/replays/{replay_id}",
    tag = "Webhooks",
    params(
        ("tenant_id" = String, Path),
        ("endpoint_id" = String, Path),
        ("replay_id" = String, Path),
    ),
    responses((status = 200, body = ReplayBody)),
    extensions(("x-permission" = json!("ViewWebhooks"))),
)]
pub(crate) async fn show(
    State(app): State<App>,
    auth: Authorized<needs::ViewWebhooks>,
    PathIds(endpoint_id, id): PathIds<WebhookEndpointId, WebhookReplayId>,
) -> Result<Json<ReplayBody>, Problem> {
    let mut tx = auth.begin(&app).await?;

    let replay = webhook_replays::get(&mut tx, id).await?;

    if replay.endpoint_id != endpoint_id {
        return Err(Problem::not_found());
    }
    Ok(Json(replay.into()))
}

/// Cancel a replay
///
/// What is on its way already is sent.
#[utoipa::path(
    delete,
    path = "/api/v1/tenants/{tenant_id}/webhook-endpoints/{endpoint_id}/replays/{replay_id}",
    tag = "Webhooks",
    params(
        ("tenant_id" = String, Path),
        ("endpoint_id" = String, Path),
        ("replay_id" = String, Path),
    ),
    responses((status = 204)),
    extensions(("x-permission" = json!("ManageWebhooks"))),
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    auth: Authorized<needs::ManageWebhooks>,
    PathIds(endpoint_id, id): PathIds<WebhookEndpointId, WebhookReplayId>,
) -> Result<StatusCode, Problem> {
    let mut tx = auth.begin(&app).await?;
    let replay = webhook_replays::get(&mut tx, id).await?;
    if replay.endpoint_id != endpoint_id {
        return Err(Problem::not_found());
    }

    if webhook_replays::cancel(&mut tx, id, app.now()).await? {
        auth.caller.audit(&app, &mut tx, Action::WebhookReplayCanceled, id, json!({})).await?;
    }

    auth.caller.commit(tx).await?;
    Ok(StatusCode::NO_CONTENT)
}
