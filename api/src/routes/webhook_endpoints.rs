//! Where a tenant wants to be told of events. What signs the messages is shown once, in the answer that makes it.

pub(crate) mod deliveries;
pub(crate) mod replays;
pub(crate) mod secrets;
pub(crate) mod test_event;

mod settings;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::event::Action;
use domain::id::WebhookEndpointId;
use domain::problem::ProblemKind;
use http::StatusCode;
use http::header::ETAG;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use store::webhook_endpoints::{self, DisabledReason, Endpoint, Health};
use store::{TenantTx, catalogue, subscriptions};
use utoipa::ToSchema;
use vault::Purpose;

use crate::app::{App, random};
use crate::authorized::{Authorized, needs};
use crate::extract::{Body, IfMatch, PageQuery, PathId, etag};
use crate::idempotency::{Attempt, IdempotencyKey};
use crate::problem::Problem;
use crate::routes::List;
use crate::routes::webhook_endpoints::settings::{CreateEndpoint, UpdateEndpoint};

/// A webhook endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndpointBody {
    #[schema(example = "endpoint_01h455vb4pex5vsknk084sn02q")]
    id: String,
    #[schema(example = "https://example.com/hooks")]
    url: String,
    description: String,
    /// Which events: names, `invoice.*` for all that begin so, `*` for all.
    #[schema(example = json!(["invoice.*", "user.joined"]))]
    event_types: Vec<String>,
    /// Conditions on fields of the message, which must all hold.
    #[schema(example = json!([{"field": "/data/total/amount_minor", "at_least": 10_000}]))]
    filter: Option<Value>,
    /// Names of headers of your own; their values are not shown.
    #[schema(example = json!(["authorization"]))]
    headers: Vec<String>,
    /// `Hmac` or `Ed25519`.
    #[schema(example = "Hmac")]
    signature: &'static str,
    /// What verifies (`whpk_…`), of `Ed25519`.
    public_key: Option<String>,
    /// What verifies (`whsec_…`), of `Hmac`: in the answer that made it and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "whsec_…")]
    secret: Option<String>,
    /// `None`: in any order; `ByKey`: one at a time of those about the same thing; `Strict`: one at a time.
    #[schema(example = "None")]
    ordering: &'static str,
    /// Deliveries a minute; `null`: as many as come.
    #[schema(example = 600)]
    rate_limit: Option<u32>,
    /// Deliveries at the same time.
    #[schema(example = 20)]
    max_in_flight: u8,
    enabled: bool,
    /// Why and since when it is not.
    disabled: Option<DisabledBody>,
    health: HealthBody,
    created_at: String,
}

/// Why an endpoint gets nothing.
#[derive(Serialize, ToSchema)]
pub(crate) struct DisabledBody {
    /// `ByUser`; `Gone`: it answered 410; `Failing`: nothing got through for five days.
    #[schema(example = "Failing")]
    reason: String,
    since: String,
}

/// How it goes with an endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct HealthBody {
    /// Attempts that failed in a row.
    failures: u32,
    /// Since when nothing has got through; five days after, it is disabled.
    failing_since: Option<String>,
    /// Nothing is sent before: it failed repeatedly, or asked for it by `Retry-After`.
    paused_until: Option<String>,
}

impl HealthBody {
    fn new(health: &Health, now: Timestamp) -> Self {
        Self {
            failures: health.failures,
            failing_since: health.failing_since.map(|at| at.to_string()),
            paused_until: health.paused_until.filter(|at| *at > now).map(|at| at.to_string()),
        }
    }
}

impl EndpointBody {
    fn new(endpoint: &Endpoint, now: Timestamp) -> Self {
        let settings = &endpoint.settings;
        let disabled = endpoint.disabled.as_ref();
        Self {
            id: endpoint.id.to_string(),
            url: settings.url.to_string(),
            description: settings.description.clone(),
            event_types: settings.event_types.iter().map(ToString::to_string).collect(),
            filter: settings.filter.as_ref().map(webhooks::filter::Filter::to_json),
            headers: settings.header_names.clone(),
            signature: endpoint.signature.as_str(),
            public_key: endpoint.public_key.clone(),
            secret: None,
            ordering: settings.ordering.as_str(),
            rate_limit: settings.rate_limit.map(std::num::NonZero::get),
            max_in_flight: settings.in_flight_max,
            enabled: disabled.is_none(),
            disabled: disabled.map(|(reason, since)| DisabledBody {
                reason: reason.clone(),
                since: since.to_string(),
            }),
            health: HealthBody::new(&endpoint.health, now),
            created_at: endpoint.created_at.to_string(),
        }
    }

    fn respond(endpoint: &Endpoint, now: Timestamp) -> Response {
        ([(ETAG, etag(endpoint.version))], Json(Self::new(endpoint, now))).into_response()
    }
}

/// Create a webhook endpoint
///
/// Messages are signed as Standard Webhooks 1.0 says; the secret is in the answer, once. What is sent is listed under
/// `webhooks` in this document.
#[utoipa::path(
    post,
    path = "/api/v1/tenants/{tenant_id}/webhook-endpoints",
    tag = "Webhooks",
    params(("tenant_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = CreateEndpoint,
    responses((status = 201, body = EndpointBody)),
    extensions(
        ("x-permission" = json!("ManageWebhooks")),
        ("x-problems" = json!(["plan-limit-reached"])),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    auth: Authorized<needs::ManageWebhooks>,
    key: IdempotencyKey,
    body: Body<CreateEndpoint>,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;
    let first = match key.attempt(&app, &mut tx, body.hash).await? {
        Attempt::Replay(response) => return Ok(response),
        Attempt::First(first) => first,
    };
    let new = body.value;
    settings::check_destination(&app, &new.settings.url)?;
    check_limit(&mut tx).await?;

    let now = app.now();
    let id = WebhookEndpointId::new(now, random());
    let keys = app.keys.sealer.keys(&mut tx, Purpose::Webhooks, now).await?;
    let (sealed, verifier) = secrets::make(&app, &keys, auth.tenant_id(), new.signature)?;
    let mut settings = new.settings;
    settings.headers_sealed =
        settings::seal_headers(&app, &keys, auth.tenant_id(), id, &new.headers)?;
    let endpoint = Endpoint {
        id,
        settings,
        signature: new.signature,
        public_key: sealed.public_key.clone(),
        disabled: None,
        version: 1,
        created_at: now,
        health: Health::default(),
    };
    webhook_endpoints::insert(&mut tx, &endpoint, &sealed).await?;
    let changes = audited(&endpoint);
    auth.caller.audit(&app, &mut tx, Action::WebhookEndpointCreated, id, changes).await?;

    let secret = verifier.map(|secret| secret.expose().clone());
    let shown = EndpointBody { secret, ..EndpointBody::new(&endpoint, now) };
    let response = first.answer(&app, &mut tx, StatusCode::CREATED, &shown).await?;
    auth.caller.commit(tx).await?;
    Ok(response)
}

/// Refuses when the plan allows no further endpoint.
async fn check_limit(tx: &mut TenantTx) -> Result<(), Problem> {
    let count = webhook_endpoints::count_for_update(tx).await?;
    let subscription = subscriptions::get(tx).await?;
    let version = catalogue::get(tx, subscription.plan, subscription.plan_version).await?;
    if version.terms.limits.webhook_endpoints.allows_one_more(count) {
        return Ok(());
    }
    Err(Problem::new(
        ProblemKind::PlanLimitReached,
        "The plan allows no further webhook endpoint; delete one or upgrade.",
    ))
}

/// Refuses to send to an endpoint that is to get nothing.
fn check_enabled(endpoint: &Endpoint) -> Result<(), Problem> {
    if endpoint.disabled.is_none() {
        return Ok(());
    }
    Err(Problem::new(ProblemKind::Conflict, "The endpoint is disabled; enable it first."))
}

fn audited(endpoint: &Endpoint) -> Value {
    let settings = &endpoint.settings;
    let event_types: Vec<String> = settings.event_types.iter().map(ToString::to_string).collect();
    json!({
        "url": settings.url.as_str(),
        "event_types": event_types,
        "headers": settings.header_names,
        "ordering": settings.ordering.as_str(),
        "rate_limit": settings.rate_limit,
        "enabled": endpoint.disabled.is_none(),
    })
}

/// List webhook endpoints
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/webhook-endpoints",
    tag = "Webhooks",
    params(
        ("tenant_id" = String, Path),
        ("limit" = Option<u8>, Query),
        ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = List<EndpointBody>)),
    extensions(("x-permission" = json!("ViewWebhooks"))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    auth: Authorized<needs::ViewWebhooks>,
    PageQuery(page): PageQuery,
) -> Result<Json<List<EndpointBody>>, Problem> {
    let mut tx = auth.begin(&app).await?;

    let rows = webhook_endpoints::list(&mut tx, page).await?;

    let now = app.now();
    Ok(Json(List::of(rows, |endpoint| EndpointBody::new(&endpoint, now))))
}

/// Show a webhook endpoint
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/webhook-endpoints/{endpoint_id}",
    tag = "Webhooks",
    params(("tenant_id" = String, Path), ("endpoint_id" = String, Path)),
    responses((status = 200, body = EndpointBody)),
    extensions(("x-permission" = json!("ViewWebhooks"))),
)]
pub(crate) async fn show(
    State(app): State<App>,
    auth: Authorized<needs::ViewWebhooks>,
    PathId(id): PathId<WebhookEndpointId>,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;

    let endpoint = webhook_endpoints::get(&mut tx, id).await?;

    Ok(EndpointBody::respond(&endpoint, app.now()))
}

/// Change a webhook endpoint
///
/// What is left out stays as it is. Disabled, it gets nothing; what it would get is kept, to be replayed.
#[utoipa::path(
    patch,
    path = "/api/v1/tenants/{tenant_id}/webhook-endpoints/{endpoint_id}",
    tag = "Webhooks",
    params(
        ("tenant_id" = String, Path),
        ("endpoint_id" = String, Path),
        ("If-Match" = Option<String>, Header),
    ),
    request_body = UpdateEndpoint,
    responses((status = 200, body = EndpointBody)),
    extensions(
        ("x-permission" = json!("ManageWebhooks")),
        ("x-problems" = json!(["precondition-failed"])),
    ),
)]
pub(crate) async fn update(
    State(app): State<App>,
    auth: Authorized<needs::ManageWebhooks>,
    PathId(id): PathId<WebhookEndpointId>,
    if_match: IfMatch,
    body: Body<UpdateEndpoint>,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;
    let before = webhook_endpoints::get(&mut tx, id).await?;
    if_match.check(before.version)?;

    let now = app.now();
    let change = body.value;
    if let Some(url) = &change.url {
        settings::check_destination(&app, url)?;
    }
    let mut settings = change.applied_to(before.settings.clone());
    if let Some(headers) = &change.headers {
        let keys = app.keys.sealer.keys(&mut tx, Purpose::Webhooks, now).await?;
        settings.headers_sealed =
            settings::seal_headers(&app, &keys, auth.tenant_id(), id, headers)?;
    }

    if settings != before.settings {
        webhook_endpoints::update(&mut tx, id, before.version, &settings, now).await?;
    }
    match change.enabled {
        Some(true) if before.disabled.is_some() => {
            webhook_endpoints::enable(&mut tx, id, now).await?;
        }
        Some(false) => {
            webhook_endpoints::disable(&mut tx, id, DisabledReason::ByUser, now).await?;
        }
        _ => {}
    }
    let after = webhook_endpoints::get(&mut tx, id).await?;
    let changes = json!({ "before": audited(&before), "after": audited(&after) });
    auth.caller.audit(&app, &mut tx, Action::WebhookEndpointUpdated, id, changes).await?;

    auth.caller.commit(tx).await?;
    Ok(EndpointBody::respond(&after, now))
}

/// Delete a webhook endpoint
///
/// Nothing more is sent to it; what was, is forgotten.
#[utoipa::path(
    delete,
    path = "/api/v1/tenants/{tenant_id}/webhook-endpoints/{endpoint_id}",
    tag = "Webhooks",
    params(("tenant_id" = String, Path), ("endpoint_id" = String, Path)),
    responses((status = 204)),
    extensions(("x-permission" = json!("ManageWebhooks"))),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    auth: Authorized<needs::ManageWebhooks>,
    PathId(id): PathId<WebhookEndpointId>,
) -> Result<StatusCode, Problem> {
    let mut tx = auth.begin(&app).await?;

    webhook_endpoints::delete(&mut tx, id, app.now()).await?;
    auth.caller.audit(&app, &mut tx, Action::WebhookEndpointDeleted, id, json!({})).await?;

    auth.caller.commit(tx).await?;
    Ok(StatusCode::NO_CONTENT)
}
