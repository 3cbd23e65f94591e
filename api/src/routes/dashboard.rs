//! The tenant at a glance: plan, limits, usage, open invoices.

use axum::Json;
use axum::extract::State;
use domain::permission::Permission;
use serde::Serialize;
use store::{invoices, subscriptions, tenants};
use utoipa::ToSchema;

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::problem::Problem;
use crate::routes::tenants::TenantBody;
use crate::routes::usage::{self, UsageBody};
use crate::routes::{LimitsBody, billing};

/// A tenant at a glance.
#[derive(Serialize, ToSchema)]
pub(crate) struct DashboardBody {
    tenant: TenantBody,
    limits: LimitsBody,
    usage: UsageBody,
    /// Invoices that wait for payment; `null` for callers who may not see billing.
    open_invoices: Option<u64>,
}

/// Show the dashboard
///
/// Of the tenant that host, API key or `X-Tenant-ID` name.
#[utoipa::path(
    get,
    path = "/api/v1/dashboard",
    tag = "Usage",
    params(("X-Tenant-ID" = Option<String>, Header)),
    responses((status = 200, body = DashboardBody)),
    extensions(("x-permission" = json!("ViewUsage"))),
)]
pub(crate) async fn show(
    State(app): State<App>,
    auth: Authorized<needs::ViewUsage>,
) -> Result<Json<DashboardBody>, Problem> {
    let mut tx = auth.begin(&app).await?;

    let tenant = tenants::get(&mut tx).await?;
    let subscription = subscriptions::get(&mut tx).await?;
    let open_invoices = if auth.permissions().contains(Permission::ViewBilling) {
        Some(invoices::count_open(&mut tx).await?)
    } else {
        None
    };

    let limits = billing::limits(&mut tx).await?.into();
    let usage = usage::current(&mut tx).await?;
    drop(tx);

    Ok(Json(DashboardBody {
        tenant: TenantBody::new(&tenant, &subscription),
        limits,
        usage: usage.with_limits(&app).await,
        open_invoices,
    }))
}
