//! What a tenant is subscribed to, and what it costs.

pub(crate) mod coupons;
pub(crate) mod overage;
pub(crate) mod profile;

use axum::Json;
use axum::extract::State;
use billing::{Offer, Scheduled, Subscription};
use domain::money::Money;
use domain::plan::{PlanLimits, PlanName};
use domain::standing::Standing;
use serde::Serialize;
use store::catalogue::{self, PlanTerms};
use store::subscriptions::{self, Running};
use store::{TenantTx, billing_profiles, invoices};
use utoipa::ToSchema;

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::problem::Problem;
use crate::routes::{LimitsBody, MoneyBody};

use coupons::CouponBody;
use overage::OverageBody;

/// A subscription.
#[derive(Serialize, ToSchema)]
pub(crate) struct SubscriptionBody {
    #[schema(example = "sub_01h455vb4pex5vsknk084sn02q")]
    id: String,
    #[schema(example = "Enterprise")]
    plan: &'static str,
    #[schema(example = "Yearly")]
    billing_cycle: &'static str,
    /// `Trialing` or `Active` while nothing is overdue; `PastDue` while a charge that failed is tried again;
    /// `Suspended` once that is given up.
    #[schema(example = "Active")]
    status: &'static str,
    /// What the tenant may do: everything (`full`), read and pay (`read_only`), or pay (`billing_only`).
    #[schema(example = "full")]
    access: &'static str,
    /// When the trial ends, while there is one.
    trial_ends_at: Option<String>,
    current_period_start: String,
    current_period_end: String,
    /// Fee of one period; nothing for pay-as-you-go.
    price: Option<MoneyBody>,
    /// Whether there is a way to pay. The way itself is never shown.
    payment_method_on_file: bool,
    /// What the next period will be, where it changes.
    scheduled_change: Option<ScheduledChange>,
    /// When it ends and the Free plan follows, where it was canceled.
    cancels_at: Option<String>,
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
    /// `payable`: whether there is a way to pay; `terms`: those of its version of the plan.
    pub(crate) fn new(
        subscription: &Subscription,
        standing: Standing,
        payable: bool,
        terms: &PlanTerms,
    ) -> Self {
        let status = subscription.status;
        let ends_at = subscription.period.end.to_string();
        let (scheduled_change, cancels_at) = match subscription.scheduled {
            None => (None, None),
            Some(Scheduled::Cancel) => (None, Some(ends_at.clone())),
            Some(Scheduled::Change(plan, cycle)) => {
                let (plan, billing_cycle) = (plan.as_str(), cycle.as_str());
                (Some(ScheduledChange { plan, billing_cycle, effective_at: ends_at.clone() }), None)
            }
        };
        Self {
            id: subscription.id.to_string(),
            plan: subscription.plan.as_str(),
            billing_cycle: subscription.cycle.as_str(),
            status: subscriptions::shown_status(status, standing),
            access: standing.access().as_str(),
            trial_ends_at: status.trial_ends_at().map(|at| at.to_string()),
            current_period_start: subscription.period.start.to_string(),
            current_period_end: ends_at,
            price: terms.price(subscription.cycle, subscription.currency).map(MoneyBody::from),
            payment_method_on_file: payable,
            scheduled_change,
            cancels_at,
        }
    }

    /// The subscription of the tenant of `tx`, as it is.
    pub(crate) async fn load(app: &App, tx: &mut TenantTx) -> Result<Self, Problem> {
        let running = subscriptions::get(tx).await?;
        let plan = app.books.version(tx, running.plan, running.plan_version).await?;
        let payable = running.pays_by.is_some();
        Ok(Self::new(&running, running.standing, payable, &plan.terms))
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
    /// Use past what the plan includes.
    overage: OverageBody,
    /// What is in credit: it is spent before anything is charged.
    balance: MoneyBody,
    /// Coupons that still hold.
    coupons: Vec<CouponBody>,
    /// Invoices that wait for payment.
    open_invoices: u64,
    /// When the next invoice is due to be made, as things stand; `null`: none is.
    next_invoice_at: Option<String>,
    /// Whether there is a billing profile: to whom invoices are made out.
    billing_profile: bool,
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

    let running = subscriptions::get(&mut tx).await?;
    let payable = running.pays_by.is_some();
    let plan = app.books.version(&mut tx, running.plan, running.plan_version).await?;
    let offer = plan.offer(running.cycle, running.currency);
    let amount_minor = store::billing::facts::balance(&mut tx, &running).await?;

    Ok(Json(BillingBody {
        subscription: SubscriptionBody::new(&running, running.standing, payable, &plan.terms),
        limits: plan.terms.limits.into(),
        overage: OverageBody::new(&running, offer.as_ref())?,
        balance: Money { amount_minor, currency: running.currency }.into(),
        coupons: coupons::held(&mut tx).await?,
        open_invoices: invoices::count_open(&mut tx).await?,
        next_invoice_at: next_invoice_at(&running, offer.as_ref()),
        billing_profile: billing_profiles::version(&mut tx).await? > 0,
    }))
}

/// The period's end, if anything is to be billed then.
fn next_invoice_at(running: &Running, offer: Option<&Offer>) -> Option<String> {
    let offer = offer.filter(|offer| !offer.is_free())?;
    let (next, _) = running.target();
    let ends = next == PlanName::Free;
    let billed = if running.is_trialing() {
        // A trial without a way to pay ends on the free plan.
        !ends && running.pays_by.is_some()
    } else {
        !ends || !offer.charges.is_empty()
    };
    billed.then(|| running.period.end.to_string())
}
