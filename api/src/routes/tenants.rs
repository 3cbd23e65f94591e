//! A tenant and its settings.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use billing::Subscription;
use domain::event::Action;
use domain::faults::Faults;
use domain::name::TenantName;
use domain::problem::ProblemKind;
use domain::time_zone::NamedTimeZone;
use http::StatusCode;
use http::header::ETAG;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::subscriptions;
use store::tenants::{self, Tenant, TenantSettings};
use utoipa::ToSchema;
use webhooks::events::tenant::{TenantClosed, TenantData, TenantUpdated};

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::events;
use crate::extract::{Body, IfMatch, Wire, etag};
use crate::problem::Problem;
use crate::routes::sign_up::{COMPANY_SIZE_LEN_MAX, USE_CASE_LEN_MAX, free_text};

/// A tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct TenantBody {
    #[schema(example = "tenant_01h455vb4pex5vsknk084sn02q")]
    id: String,
    #[schema(example = "Acme Corp")]
    name: String,
    #[schema(example = "acme")]
    subdomain: String,
    /// `Active`, `Suspended` or `Closed`.
    #[schema(example = "Active")]
    status: &'static str,
    #[schema(example = "Pro")]
    plan: &'static str,
    #[schema(example = "Monthly")]
    billing_cycle: &'static str,
    /// When the trial ends, while there is one.
    trial_ends_at: Option<String>,
    #[schema(example = "10-50")]
    company_size: Option<String>,
    #[schema(example = "Customer Support")]
    use_case: Option<String>,
    /// IANA name.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// Whether members need a second factor.
    require_two_factor: bool,
    created_at: String,
}

impl TenantBody {
    pub(crate) fn new(tenant: &Tenant, subscription: &Subscription) -> Self {
        let trial_ends_at = subscription.status.trial_ends_at();
        Self {
            id: tenant.id.to_string(),
            name: tenant.name.clone(),
            subdomain: tenant.subdomain.clone(),
            status: tenant.status.as_str(),
            plan: subscription.plan.as_str(),
            billing_cycle: subscription.cycle.as_str(),
            trial_ends_at: trial_ends_at.map(|at| at.to_string()),
            company_size: tenant.company_size.clone(),
            use_case: tenant.use_case.clone(),
            time_zone: tenant.time_zone.clone(),
            require_two_factor: tenant.require_two_factor,
            created_at: tenant.created_at.to_string(),
        }
    }

    fn respond(tenant: &Tenant, subscription: &Subscription) -> Response {
        ([(ETAG, etag(tenant.version))], Json(Self::new(tenant, subscription))).into_response()
    }
}

/// Show the tenant
///
/// The tenant and its settings. The `ETag` is the version to send as `If-Match` when changing them.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}",
    tag = "Tenants",
    params(("tenant_id" = String, Path)),
    responses((status = 200, body = TenantBody)),
    extensions(("x-permission" = json!("ViewTenant"))),
)]
pub(crate) async fn show(
    State(app): State<App>,
    auth: Authorized<needs::ViewTenant>,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;

    let tenant = tenants::get(&mut tx).await?;
    let subscription = subscriptions::get(&mut tx).await?;

    Ok(TenantBody::respond(&tenant, &subscription))
}

/// Settings to change; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateTenant {
    #[schema(example = "Acme Corporation")]
    name: Option<String>,
    #[schema(example = "50-200")]
    company_size: Option<String>,
    #[schema(example = "Customer Support")]
    use_case: Option<String>,
    /// IANA name.
    #[schema(example = "Europe/Berlin")]
    time_zone: Option<String>,
    /// Whether members need a second factor.
    require_two_factor: Option<bool>,
}

/// Checked settings.
pub(crate) struct Update {
    name: Option<TenantName>,
    company_size: Option<String>,
    use_case: Option<String>,
    time_zone: Option<NamedTimeZone>,
    require_two_factor: Option<bool>,
}

impl Wire for UpdateTenant {
    type Parsed = Update;

    fn parse(self) -> Result<Update, Faults> {
        let mut faults = Faults::new();
        let name = self.name.and_then(|name| faults.check("/name", name.parse()));
        let company_size =
            free_text(&mut faults, "/company_size", self.company_size, COMPANY_SIZE_LEN_MAX);
        let use_case = free_text(&mut faults, "/use_case", self.use_case, USE_CASE_LEN_MAX);
        let time_zone = self.time_zone.and_then(|zone| faults.check("/time_zone", zone.parse()));
        let require_two_factor = self.require_two_factor;
        // Nobody could sign in any more, not even to take it back.
        if require_two_factor == Some(true) {
            faults.push(
                "/require_two_factor",
                "cannot be `true` until members can enrol a second factor",
            );
        }
        faults.finish(Some(Update { name, company_size, use_case, time_zone, require_two_factor }))
    }
}

impl Update {
    /// The settings of `tenant` after the change.
    fn applied_to(self, tenant: &Tenant) -> Result<TenantSettings, Problem> {
        let name = match self.name {
            Some(name) => name,
            None => tenant.name.parse().map_err(Problem::internal)?,
        };
        let time_zone = match self.time_zone {
            Some(zone) => zone,
            None => tenant.time_zone.parse().map_err(Problem::internal)?,
        };
        Ok(TenantSettings {
            name,
            company_size: self.company_size.or_else(|| tenant.company_size.clone()),
            use_case: self.use_case.or_else(|| tenant.use_case.clone()),
            time_zone,
            require_two_factor: self.require_two_factor.unwrap_or(tenant.require_two_factor),
        })
    }
}

/// Change the settings
///
/// Fields that are left out stay as they are. With `If-Match`, refused when somebody else changed them
/// meanwhile.
#[utoipa::path(
    put,
    path = "/api/v1/tenants/{tenant_id}",
    tag = "Tenants",
    params(("tenant_id" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body = UpdateTenant,
    responses((status = 200, body = TenantBody)),
    extensions(
        ("x-permission" = json!("ManageTenant")),
        ("x-problems" = json!(["precondition-failed"])),
    ),
)]
pub(crate) async fn update(
    State(app): State<App>,
    auth: Authorized<needs::ManageTenant>,
    if_match: IfMatch,
    body: Body<UpdateTenant>,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;

    let before = tenants::get(&mut tx).await?;
    if_match.check(before.version)?;
    let settings = body.value.applied_to(&before)?;

    tenants::update(&mut tx, before.version, &settings, app.now()).await?;
    let after = tenants::get(&mut tx).await?;
    let subscription = subscriptions::get(&mut tx).await?;
    let changes = changed_fields(&before, &after);
    auth.caller.audit(&app, &mut tx, Action::TenantUpdated, after.id, changes).await?;
    events::publish(&app, &mut tx, &TenantUpdated(told(&after))).await?;

    auth.caller.commit(tx).await?;
    Ok(TenantBody::respond(&after, &subscription))
}

/// What webhooks say of the tenant.
fn told(tenant: &Tenant) -> TenantData {
    TenantData {
        tenant_id: tenant.id.to_string(),
        name: tenant.name.clone(),
        subdomain: tenant.subdomain.to_string(),
        status: tenant.status.as_str().to_owned(),
        time_zone: tenant.time_zone.to_string(),
    }
}

fn changed_fields(before: &Tenant, after: &Tenant) -> serde_json::Value {
    let fields = |tenant: &Tenant| {
        json!({
            "name": tenant.name,
            "company_size": tenant.company_size,
            "use_case": tenant.use_case,
            "time_zone": tenant.time_zone,
            "require_two_factor": tenant.require_two_factor,
        })
    };
    json!({ "before": fields(before), "after": fields(after) })
}

/// Close the tenant
///
/// From now on nobody gets in. The data is erased after a grace period; support can restore it until then.
#[utoipa::path(
    delete,
    path = "/api/v1/tenants/{tenant_id}",
    tag = "Tenants",
    params(("tenant_id" = String, Path)),
    responses((status = 204)),
    extensions(("x-permission" = json!("CloseTenant")), ("x-problems" = json!(["conflict"]))),
)]
pub(crate) async fn close(
    State(app): State<App>,
    auth: Authorized<needs::CloseTenant>,
) -> Result<StatusCode, Problem> {
    let mut tx = auth.begin(&app).await?;

    if !tenants::close(&mut tx, app.now()).await? {
        return Err(Problem::new(ProblemKind::Conflict, "The tenant is closed already."));
    }
    let target = auth.tenant_id;
    auth.caller.audit(&app, &mut tx, Action::TenantClosed, target, json!({})).await?;
    let closed = tenants::get(&mut tx).await?;
    events::publish(&app, &mut tx, &TenantClosed(told(&closed))).await?;

    auth.caller.commit(tx).await?;
    Ok(StatusCode::NO_CONTENT)
}
