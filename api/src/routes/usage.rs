//! Usage against the plan's limits.

use std::num::NonZeroU32;

mod limits;

use axum::Json;
use axum::extract::State;
use domain::plan::{Allowance, PlanLimits};
use serde::Serialize;
use store::{TenantTx, catalogue, memberships, subscriptions};
use utoipa::ToSchema;

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::problem::Problem;
use crate::routes::usage::limits::{Limit, LimitBody};

/// One meter.
#[derive(Serialize, ToSchema)]
pub(crate) struct MeterBody {
    #[schema(example = "users")]
    meter: &'static str,
    /// What has been used in the period; `null` while the meter is not measured yet.
    #[schema(example = 3)]
    used: Option<u64>,
    /// What the plan allows; `null` is unlimited.
    #[schema(example = 20)]
    limit: Option<u64>,
    /// What is left; `null` where it is unlimited or not measured yet.
    #[schema(example = 17)]
    remaining: Option<u64>,
}

impl MeterBody {
    fn new(meter: &'static str, used: Option<u64>, limit: Allowance) -> Self {
        let limit = limit.bound();
        let remaining = used.zip(limit).map(|(used, limit)| limit.saturating_sub(used));
        Self { meter, used, limit, remaining }
    }
}

/// Usage of the running period.
#[derive(Serialize, ToSchema)]
pub(crate) struct UsageBody {
    #[schema(example = "Pro")]
    plan: &'static str,
    period_start: String,
    period_end: String,
    /// Calls a minute that the edge lets through.
    #[schema(example = 1000)]
    api_calls_per_minute: u32,
    /// Calls that may be in progress at the same time; `null` is unlimited.
    #[schema(example = 100)]
    concurrent_requests: Option<u32>,
    meters: Vec<MeterBody>,
    /// How each limit stands, as the edges keep it.
    limits: Vec<LimitBody>,
}

/// What the database knows of usage.
pub(crate) struct Usage {
    body: UsageBody,
    limits: Vec<Limit>,
}

/// What is used and what is allowed in the tenant of `tx`.
pub(crate) async fn current(tx: &mut TenantTx) -> Result<Usage, Problem> {
    let subscription = subscriptions::get(tx).await?;
    let plan = catalogue::get(tx, subscription.plan, subscription.plan_version).await?;
    let allowed = &plan.terms.limits;
    let seats = memberships::count_seats(tx).await?;
    let body = UsageBody {
        plan: subscription.plan.as_str(),
        period_start: subscription.period_start.to_string(),
        period_end: subscription.period_end.to_string(),
        api_calls_per_minute: allowed.api_calls_per_minute.get(),
        concurrent_requests: allowed.concurrent_requests.map(NonZeroU32::get),
        meters: meters(allowed, seats),
        limits: Vec::new(),
    };
    Ok(Usage { body, limits: limits::of_tenant(tx, &subscription, &plan.terms).await? })
}

impl Usage {
    /// With how the limits stand. Asked when the transaction is over: Redis may take its time.
    pub(crate) async fn with_limits(self, app: &App) -> UsageBody {
        UsageBody { limits: limits::standing(app, self.limits).await, ..self.body }
    }
}

/// Seats are counted from the members. The other meters come with metering; saying 0 for them would be a
/// claim, so they say nothing.
fn meters(limits: &PlanLimits, seats: u64) -> Vec<MeterBody> {
    vec![
        MeterBody::new("users", Some(seats), limits.users),
        MeterBody::new("messages", None, limits.messages_per_month),
        MeterBody::new("contacts", None, limits.contacts),
        MeterBody::new("webhook_endpoints", None, limits.webhook_endpoints),
        MeterBody::new("storage_mb", None, limits.storage_mb),
        MeterBody::new("automations", None, limits.automations),
    ]
}

/// Show usage
///
/// Usage of the running period against the plan's limits. Seats are measured; a meter that is not measured
/// yet has `used: null`.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/usage",
    tag = "Usage",
    params(("tenant_id" = String, Path)),
    responses((status = 200, body = UsageBody)),
    extensions(("x-permission" = json!("ViewUsage"))),
)]
pub(crate) async fn show(
    State(app): State<App>,
    auth: Authorized<needs::ViewUsage>,
) -> Result<Json<UsageBody>, Problem> {
    let mut tx = auth.begin(&app).await?;

    let usage = current(&mut tx).await?;
    drop(tx);

    Ok(Json(usage.with_limits(&app).await))
}
