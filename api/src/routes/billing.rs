//! What a tenant is subscribed to, and what it costs.

use axum::Json;
use axum::extract::State;
use domain::plan::PlanLimits;
use serde::Serialize;
use store::catalogue::{self, PlanTerms};
use store::subscriptions::{self, Subscription, SubscriptionStatus};
use store::{TenantTx, invoices};
use utoipa::ToSchema;

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::problem::Problem;
use crate::routes::{LimitsBody, MoneyBody};

/// A subscription.
#[derive(Serialize, ToSchema)]
pub(crate) struct SubscriptionBody {
    #[schema(example = "sub_01h455vb4pex5vsknk084sn02q")]
    id: String,
    #[schema(example = "Enterprise")]
    plan: &'static str,
    #[schema(example = "Yearly")]
    billing_cycle: &'static str,
    /// `Trialing` or `Active`.
    #[schema(example = "Active")]
    status: &'static str,
    /// When the trial ends, while there is one.
    trial_ends_at: Option<String>,
    current_period_start: String,
    current_period_end: String,
    /// Price of one period; `null` for pay-as-you-go.
    price: Option<MoneyBody>,
    /// Whether there is a way to pay. The way itself is never shown.
    payment_method_on_file: bool,
    /// What the next period will be, where it changes.
    scheduled_change: Option<ScheduledChange>,
}

/// What the next period will be.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScheduledChange {
    #[schema(example = "Starter")]
    plan: &'static str,
    #[schema(example = "Monthly")]
    billing_cycle: &'static str,
    effective_at: String,
}

impl SubscriptionBody {
    pub(crate) fn new(subscription: &Subscription, terms: &PlanTerms) -> Self {
        let (status, trial_ends_at) = match subscription.status {
            SubscriptionStatus::Trialing { ends_at } => ("Trialing", Some(ends_at.to_string())),
            SubscriptionStatus::Active => ("Active", None),
        };
        Self {
            id: subscription.id.to_string(),
            plan: subscription.plan.as_str(),
            billing_cycle: subscription.cycle.as_str(),
            status,
            trial_ends_at,
            current_period_start: subscription.period_start.to_string(),
            current_period_end: subscription.period_end.to_string(),
            price: terms.price(subscription.cycle, subscription.currency).map(MoneyBody::from),
            payment_method_on_file: subscription.payment_method_sealed.is_some(),
            scheduled_change: subscription.next.map(|(plan, cycle)| ScheduledChange {
                plan: plan.as_str(),
                billing_cycle: cycle.as_str(),
                effective_at: subscription.period_end.to_string(),
            }),
        }
    }
}

/// The limits of the plan version that the tenant of `tx` keeps.
pub(crate) async fn limits(tx: &mut TenantTx) -> Result<PlanLimits, Problem> {
    let subscription = subscriptions::get(tx).await?;
    let plan = catalogue::get(tx, subscription.plan, subscription.plan_version).await?;
    Ok(plan.terms.limits)
}

/// Billing at a glance.
#[derive(Serialize, ToSchema)]
pub(crate) struct BillingBody {
    subscription: SubscriptionBody,
    limits: LimitsBody,
    /// Invoices that wait for payment.
    open_invoices: u64,
}

/// Show billing
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/billing",
    tag = "Billing",
    params(("tenant_id" = String, Path)),
    responses((status = 200, body = BillingBody)),
    extensions(("x-permission" = json!("ViewBilling"))),
)]
pub(crate) async fn show(
    State(app): State<App>,
    auth: Authorized<needs::ViewBilling>,
) -> Result<Json<BillingBody>, Problem> {
    let mut tx = auth.begin(&app).await?;

    let subscription = subscriptions::get(&mut tx).await?;
    let plan = catalogue::get(&mut tx, subscription.plan, subscription.plan_version).await?;

    Ok(Json(BillingBody {
        subscription: SubscriptionBody::new(&subscription, &plan.terms),
        limits: plan.terms.limits.into(),
        open_invoices: invoices::count_open(&mut tx).await?,
    }))
}
