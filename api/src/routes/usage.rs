//! Usage against the plan's limits, now and over time.

pub(crate) mod events;
mod limits;
pub(crate) mod live;
pub(crate) mod meters;
mod series;

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use billing::Subscription;
use domain::faults::Faults;
use serde::Serialize;
use store::catalogue::PlanTerms;
use store::{TenantTx, catalogue, memberships, subscriptions, tenants, webhook_endpoints};
use utoipa::ToSchema;

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::extract::malformed_query;
use crate::problem::Problem;
use crate::routes::usage::limits::{Limit, LimitBody};
use crate::routes::usage::meters::{Derived, MeterBody, OverLimitBody};
use crate::routes::usage::series::{SeriesBody, UsageQuery};

/// Usage of the running period.
#[derive(Serialize, ToSchema)]
pub(crate) struct UsageBody {
    #[schema(example = "Pro")]
    plan: &'static str,
    period_start: String,
    period_end: String,
    /// Hours and days are those of this zone.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// Everything before this moment is counted in here; what came after may be, too.
    complete_until: String,
    /// Calls a minute that the edge lets through.
    #[schema(example = 1000)]
    api_calls_per_minute: u32,
    /// Calls that may be in progress at the same time; `null` is unlimited.
    #[schema(example = 100)]
    concurrent_requests: Option<u32>,
    meters: Vec<MeterBody>,
    /// How each limit stands, as the edges keep it.
    limits: Vec<LimitBody>,
    /// The series that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<SeriesBody>,
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
    let tenant = tenants::get(tx).await?;
    let derived = derived(tx).await?;
    let totals = store::usage::totals(tx, subscription.period.start).await?;
    let meters = store::meters::list(tx).await?;
    let body = UsageBody {
        plan: subscription.plan.as_str(),
        period_start: subscription.period.start.to_string(),
        period_end: subscription.period.end.to_string(),
        time_zone: tenant.time_zone,
        complete_until: store::usage::complete_until(tx).await?.to_string(),
        api_calls_per_minute: plan.terms.limits.api_calls_per_minute.get(),
        concurrent_requests: plan.terms.limits.concurrent_requests.map(NonZeroU32::get),
        meters: meters::bodies(meters, &totals, &derived, &plan.terms, subscription.cycle),
        limits: Vec::new(),
        series: None,
    };
    Ok(Usage { body, limits: limits::of_tenant(tx, &subscription, &plan).await? })
}

async fn derived(tx: &mut TenantTx) -> Result<Derived, Problem> {
    Ok(Derived {
        seats: memberships::count_seats(tx).await?,
        webhook_endpoints: webhook_endpoints::count(tx).await?,
    })
}

/// What the tenant of `tx` has more of than `terms` allow. What is used up in a period is not among it.
pub(crate) async fn over_limits(
    tx: &mut TenantTx,
    subscription: &Subscription,
    terms: &PlanTerms,
) -> Result<Vec<OverLimitBody>, Problem> {
    let derived = derived(tx).await?;
    let totals = store::usage::totals(tx, subscription.period.start).await?;
    let meters = store::meters::list(tx).await?;
    let bodies = meters::bodies(meters, &totals, &derived, terms, subscription.cycle);
    Ok(bodies.into_iter().filter_map(MeterBody::over_limit).collect())
}

impl Usage {
    /// With how the limits stand. Asked when the transaction is over: Redis may take its time.
    pub(crate) async fn with_limits(self, app: &App) -> UsageBody {
        UsageBody { limits: limits::standing(app, self.limits).await, ..self.body }
    }
}

/// Show usage
///
/// Usage of the running period against the plan's limits; a request is in it within ten seconds. With any of the
/// parameters, usage over time as well, in the tenant's time zone.
///
/// Answers with a status of 2xx, 3xx and 4xx are counted. Requests that were refused (401, 403, 429) and requests
/// that failed (5xx) are not billed; `group_by=status` shows them.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/usage",
    tag = "Usage",
    params(("tenant_id" = String, Path), UsageQuery),
    responses((status = 200, body = UsageBody)),
    extensions(("x-permission" = json!("ViewUsage"))),
)]
pub(crate) async fn show(
    State(app): State<App>,
    auth: Authorized<needs::ViewUsage>,
    query: Result<Query<UsageQuery>, QueryRejection>,
) -> Result<Json<UsageBody>, Problem> {
    let Query(query) = query.map_err(|_| malformed_query())?;
    let mut tx = auth.begin(&app).await?;

    let mut usage = current(&mut tx).await?;
    if query.wants_series() {
        usage.body.series = Some(series(&app, &mut tx, query, &usage.body.time_zone).await?);
    }
    drop(tx);

    Ok(Json(usage.with_limits(&app).await))
}

async fn series(
    app: &App,
    tx: &mut TenantTx,
    query: UsageQuery,
    time_zone: &str,
) -> Result<SeriesBody, Problem> {
    let subscription = subscriptions::get(tx).await?;
    let known: BTreeSet<_> =
        store::meters::list(tx).await?.into_iter().map(|(name, _)| name).collect();
    let query = query.parse(time_zone, &subscription, &known, app.now())?;
    match store::usage::series(tx, &query).await? {
        Some(points) => Ok(SeriesBody::new(&query, points)),
        None => {
            let mut faults = Faults::new();
            faults
                .push("/from", "has too many points up to `to`; ask for less, or for one `meter`");
            Err(faults.into())
        }
    }
}
