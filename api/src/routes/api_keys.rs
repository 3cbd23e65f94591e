//! API keys of a tenant. The key is shown once, in the answer that makes it.

pub(crate) mod rotate;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use credentials::api_key::ApiKey;
use domain::event::Action;
use domain::faults::Faults;
use domain::id::{ApiKeyId, MembershipId};
use domain::name::KeyName;
use domain::permission::Scope;
use domain::problem::ProblemKind;
use http::StatusCode;
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::TenantTx;
use store::api_keys::{self, ApiKeyRecord};
use utoipa::ToSchema;
use webhooks::events::tenant::{ApiKeyCreated, ApiKeyData, ApiKeyRevoked, RevokedApiKeyData};

use crate::app::{App, random};
use crate::authorized::{Authorized, needs};
use crate::events;
use crate::extract::{Body, PageQuery, PathId, Wire};
use crate::idempotency::{Attempt, IdempotencyKey};
use crate::problem::Problem;
use crate::routes::List;
use crate::routes::ip_allowlist::{NETWORKS_MAX, parse_networks};

/// Longest life of a key, in days.
const EXPIRES_IN_DAYS_MAX: u16 = 3650;
/// Largest limit of a key's own, in calls a minute; the plan's holds beside it.
const RATE_LIMIT_MAX: u32 = 1_000_000;

/// An API key's record.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKeyBody {
    #[schema(example = "key_01h455vb4pex5vsknk084sn02q")]
    id: String,
    #[schema(example = "WhatsApp Integration")]
    name: String,
    /// The key itself, in the answer that made it and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "pk_…")]
    key: Option<String>,
    /// Its last four characters.
    #[schema(example = "x7Qa")]
    last_four: String,
    /// What it may do.
    #[schema(example = json!(["whatsapp.send", "whatsapp.receive"]))]
    permissions: Vec<&'static str>,
    /// Calls a minute, beside the plan's.
    #[schema(example = 1000)]
    rate_limit: Option<u32>,
    /// Networks that may use it; empty: all that the tenant allows.
    ip_allowlist: Vec<String>,
    /// `Active` or `Expired`.
    #[schema(example = "Active")]
    status: &'static str,
    /// Who created it.
    created_by: String,
    created_at: String,
    expires_at: Option<String>,
    /// When it was last used, to the minute; some seconds late. `null`: never.
    last_used_at: Option<String>,
}

impl ApiKeyBody {
    fn new(key: &ApiKeyRecord, now: Timestamp) -> Self {
        let expired = key.expires_at.is_some_and(|end| end <= now);
        Self {
            id: key.id.to_string(),
            name: key.name.clone(),
            key: None,
            last_four: key.last_four.clone(),
            permissions: key.scopes.iter().copied().map(Scope::as_str).collect(),
            rate_limit: key.rate_limit,
            ip_allowlist: key.networks.iter().map(ToString::to_string).collect(),
            status: if expired { "Expired" } else { "Active" },
            created_by: key.created_by.to_string(),
            created_at: key.created_at.to_string(),
            expires_at: key.expires_at.map(|at| at.to_string()),
            last_used_at: key.last_used_at.map(|at| at.to_string()),
        }
    }
}

/// What a new key is for and may do.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateApiKey {
    #[schema(example = "WhatsApp Integration")]
    name: String,
    /// Scopes; each must be within what you may do yourself.
    #[schema(example = json!(["whatsapp.send", "whatsapp.receive"]))]
    permissions: Vec<String>,
    /// Calls a minute, beside the plan's.
    #[schema(example = 1000)]
    rate_limit: Option<u32>,
    /// Days after which it ends by itself.
    #[schema(example = 365)]
    expires_in_days: Option<u16>,
    /// Networks that may use it, such as `203.0.113.0/24`.
    #[serde(default)]
    ip_allowlist: Vec<String>,
}

/// A checked [`CreateApiKey`].
pub(crate) struct NewApiKey {
    name: KeyName,
    scopes: Vec<Scope>,
    rate_limit: Option<u32>,
    life: Option<SignedDuration>,
    networks: Vec<IpNet>,
}

impl Wire for CreateApiKey {
    type Parsed = NewApiKey;

    fn parse(self) -> Result<NewApiKey, Faults> {
        let mut faults = Faults::new();
        let name = faults.check("/name", self.name.parse());
        let mut scopes = Vec::new();
        if self.permissions.len() > Scope::ALL.len() {
            faults.push("/permissions", format!("must have at most {} entries", Scope::ALL.len()));
        }
        for (index, text) in self.permissions.iter().take(Scope::ALL.len()).enumerate() {
            let scope = faults.check(&format!("/permissions/{index}"), text.parse::<Scope>());
            scopes.extend(scope.filter(|scope| !scopes.contains(scope)));
        }
        if self.permissions.is_empty() {
            faults.push("/permissions", "must name at least one scope");
        }
        if self.rate_limit.is_some_and(|limit| limit == 0 || limit > RATE_LIMIT_MAX) {
            faults.push("/rate_limit", format!("must be 1 to {RATE_LIMIT_MAX} calls a minute"));
        }
        if self.expires_in_days.is_some_and(|days| days == 0 || days > EXPIRES_IN_DAYS_MAX) {
            faults.push("/expires_in_days", format!("must be 1 to {EXPIRES_IN_DAYS_MAX} days"));
        }
        let networks =
            parse_networks(&mut faults, "/ip_allowlist", &self.ip_allowlist, NETWORKS_MAX);
        let life =
            self.expires_in_days.map(|days| SignedDuration::from_hours(24 * i64::from(days)));
        let rate_limit = self.rate_limit;
        faults.finish(name.map(|name| NewApiKey { name, scopes, rate_limit, life, networks }))
    }
}

/// Create an API key
///
/// The key is in the answer, once. Keep it like a password.
#[utoipa::path(
    post,
    path = "/api/v1/tenants/{tenant_id}/api-keys",
    tag = "API keys",
    params(("tenant_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = CreateApiKey,
    responses((status = 201, body = ApiKeyBody)),
    extensions(("x-permission" = json!("ManageApiKeys"))),
)]
pub(crate) async fn create(
    State(app): State<App>,
    auth: Authorized<needs::ManageApiKeys>,
    key: IdempotencyKey,
    body: Body<CreateApiKey>,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;
    let first = match key.attempt(&app, &mut tx, body.hash).await? {
        Attempt::Replay(response) => return Ok(response),
        Attempt::First(first) => first,
    };
    let new = body.value;
    check_scopes(&auth, &new.scopes)?;
    let created_by = creator(&auth)?;

    let now = app.now();
    let secret = ApiKey::generate(random());
    let record = ApiKeyRecord {
        id: ApiKeyId::new(now, random()),
        name: new.name.as_str().to_owned(),
        last_four: secret.last_four().to_owned(),
        scopes: new.scopes,
        rate_limit: new.rate_limit,
        networks: new.networks,
        created_by,
        created_at: now,
        expires_at: new
            .life
            .map(|life| now.checked_add(life))
            .transpose()
            .map_err(Problem::internal)?,
        revoked_at: None,
        last_used_at: None,
    };
    let shown = keep(&app, &auth, &mut tx, &record, &secret, None).await?;

    let response = first.answer(&app, &mut tx, StatusCode::CREATED, &shown).await?;
    auth.caller.commit(tx).await?;
    Ok(response)
}

/// Stores a new key and tells of it; `replaces`: the one in whose place it comes.
async fn keep(
    app: &App,
    auth: &Authorized<needs::ManageApiKeys>,
    tx: &mut TenantTx,
    record: &ApiKeyRecord,
    secret: &ApiKey,
    replaces: Option<ApiKeyId>,
) -> Result<ApiKeyBody, Problem> {
    api_keys::insert(tx, record, secret.hash(&app.keys.api_keys).as_bytes()).await?;
    let changes = json!({
        "name": record.name,
        "scopes": record.scopes,
        "rate_limit": record.rate_limit,
        "ip_allowlist": record.networks,
        "expires_at": record.expires_at,
        "replaces": replaces,
    });
    auth.caller.audit(app, tx, Action::ApiKeyCreated, record.id, changes).await?;
    events::publish(app, tx, &told(record)).await?;
    let key = Some(secret.expose().clone());
    Ok(ApiKeyBody { key, ..ApiKeyBody::new(record, record.created_at) })
}

/// No scope stands for `ManageApiKeys`, so the caller is a member; a key cannot make keys.
fn creator(auth: &Authorized<needs::ManageApiKeys>) -> Result<MembershipId, Problem> {
    auth.membership_id().ok_or_else(|| {
        Problem::new(ProblemKind::PermissionDenied, "Only a signed-in member can create API keys.")
    })
}

/// What webhooks say of a new key.
fn told(key: &ApiKeyRecord) -> ApiKeyCreated {
    ApiKeyCreated(ApiKeyData {
        api_key_id: key.id.to_string(),
        name: key.name.clone(),
        last_four: key.last_four.clone(),
        permissions: key.scopes.iter().map(ToString::to_string).collect(),
        expires_at: key.expires_at.map(|at| at.to_string()),
    })
}

/// A key can never do what its creator cannot.
fn check_scopes(auth: &Authorized<needs::ManageApiKeys>, scopes: &[Scope]) -> Result<(), Problem> {
    let held = auth.permissions();
    let beyond: Vec<_> = scopes
        .iter()
        .filter(|scope| !held.contains(scope.permission()))
        .map(|scope| format!("`{scope}` (needs `{}`)", scope.permission()))
        .collect();
    if beyond.is_empty() {
        return Ok(());
    }
    let detail = format!("You cannot give a key what you do not hold: {}.", beyond.join(", "));
    Err(Problem::new(ProblemKind::PermissionDenied, detail))
}

/// List API keys
///
/// Those that were not deleted, newest first; never the key itself.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/api-keys",
    tag = "API keys",
    params(
        ("tenant_id" = String, Path),
        ("limit" = Option<u8>, Query),
        ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = List<ApiKeyBody>)),
    extensions(("x-permission" = json!("ViewApiKeys"))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    auth: Authorized<needs::ViewApiKeys>,
    PageQuery(page): PageQuery,
) -> Result<Json<List<ApiKeyBody>>, Problem> {
    let mut tx = auth.begin(&app).await?;

    let rows = api_keys::list(&mut tx, page).await?;

    let now = app.now();
    Ok(Json(List::of(rows, |key| ApiKeyBody::new(&key, now))))
}

/// Delete an API key
///
/// Refused at every edge within moments.
#[utoipa::path(
    delete,
    path = "/api/v1/tenants/{tenant_id}/api-keys/{key_id}",
    tag = "API keys",
    params(("tenant_id" = String, Path), ("key_id" = String, Path)),
    responses((status = 204)),
    extensions(("x-permission" = json!("ManageApiKeys"))),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    auth: Authorized<needs::ManageApiKeys>,
    PathId(id): PathId<ApiKeyId>,
) -> Result<StatusCode, Problem> {
    let mut tx = auth.begin(&app).await?;

    api_keys::revoke(&mut tx, id, app.now()).await?;
    auth.caller.audit(&app, &mut tx, Action::ApiKeyRevoked, id, json!({})).await?;
    let event = ApiKeyRevoked(RevokedApiKeyData { api_key_id: id.to_string() });
    events::publish(&app, &mut tx, &event).await?;

    auth.caller.commit(tx).await?;
    Ok(StatusCode::NO_CONTENT)
}
