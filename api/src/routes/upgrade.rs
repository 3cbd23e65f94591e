//! `POST …/upgrade`: another plan or cycle. Records the change; the billing engine charges for it.

mod plan_change;

use axum::extract::State;
use axum::response::Response;
use domain::event::Action;
use domain::faults::Faults;
use domain::id::SubscriptionChangeId;
use domain::plan::{BillingCycle, PlanName};
use domain::problem::ProblemKind;
use domain::secret::Secret;
use domain::time_zone::NamedTimeZone;
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::TenantTx;
use store::catalogue;
use store::subscriptions::{self, Change, ChangeKind, Subscription, SubscriptionStatus};
use store::tenants;
use utoipa::ToSchema;
use vault::Purpose;
use webhooks::events::billing::{SubscriptionData, SubscriptionUpdated};

use crate::app::{App, random};
use crate::authorized::{Authorized, needs};
use crate::events;
use crate::extract::{Body, Wire};
use crate::idempotency::{Attempt, IdempotencyKey};
use crate::problem::Problem;
use crate::routes::billing::SubscriptionBody;
use crate::sealed;

use plan_change::{PlanChange, plan_change};

/// Longest reference of a way to pay.
const PAYMENT_METHOD_LEN_MAX: usize = 255;

/// The wished plan and cycle.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpgradePlan {
    /// `Free`, `Starter`, `Pro` or `Enterprise`.
    #[schema(example = "Enterprise")]
    new_plan: String,
    /// `Monthly`, `Yearly` or `PayAsYouGo`; as it is when left out.
    #[schema(example = "Yearly")]
    billing_cycle: Option<String>,
    /// The payment provider's reference of a way to pay; the one on file when left out.
    #[schema(example = "card_1234567890")]
    payment_method: Option<String>,
}

/// A checked [`UpgradePlan`].
pub(crate) struct Wish {
    plan: PlanName,
    cycle: Option<BillingCycle>,
    payment_method: Option<Secret<String>>,
}

impl Wire for UpgradePlan {
    type Parsed = Wish;

    fn parse(self) -> Result<Wish, Faults> {
        let mut faults = Faults::new();
        let plan = faults.check("/new_plan", self.new_plan.parse());
        let cycle =
            self.billing_cycle.and_then(|cycle| faults.check("/billing_cycle", cycle.parse()));
        let payment_method = self.payment_method.map(Secret::new);
        let acceptable = |method: &Secret<String>| {
            let text = method.expose();
            let graphic = text.bytes().all(|byte| byte.is_ascii_graphic());
            !text.is_empty() && text.len() <= PAYMENT_METHOD_LEN_MAX && graphic
        };
        if payment_method.as_ref().is_some_and(|method| !acceptable(method)) {
            faults.push(
                "/payment_method",
                "must be a provider's reference such as `card_1234567890`",
            );
        }
        faults.finish(plan.map(|plan| Wish { plan, cycle, payment_method }))
    }
}

/// What was changed, or will be.
#[derive(Serialize, ToSchema)]
pub(crate) struct Upgraded {
    subscription: SubscriptionBody,
    change: ChangeBody,
}

/// A change of a subscription.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangeBody {
    #[schema(example = "subchange_01h455vb4pex5vsknk084sn02q")]
    id: String,
    /// `Upgraded`, `Downgraded` or `CycleChanged`.
    #[schema(example = "Upgraded")]
    kind: &'static str,
    from_plan: &'static str,
    to_plan: &'static str,
    from_billing_cycle: &'static str,
    to_billing_cycle: &'static str,
    effective_at: String,
}

/// Change the plan
///
/// A dearer plan or a longer cycle holds at once; a cheaper plan or a shorter cycle from the end of the
/// running period. Asking for the present plan again takes a scheduled change back.
#[utoipa::path(
    post,
    path = "/api/v1/tenants/{tenant_id}/upgrade",
    tag = "Billing",
    params(("tenant_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = UpgradePlan,
    responses((status = 200, body = Upgraded)),
    extensions(
        ("x-permission" = json!("ManageBilling")),
        ("x-problems" = json!(["payment-method-required", "conflict"])),
    ),
)]
pub(crate) async fn upgrade(
    State(app): State<App>,
    auth: Authorized<needs::ManageBilling>,
    key: IdempotencyKey,
    body: Body<UpgradePlan>,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;
    let first = match key.attempt(&app, &mut tx, body.hash).await? {
        Attempt::Replay(response) => return Ok(response),
        Attempt::First(first) => first,
    };
    let now = app.now();
    let wish = body.value;
    let before = subscriptions::get_for_update(&mut tx).await?;
    let plan = catalogue::current(&mut tx, wish.plan).await?;
    let zone = time_zone(&mut tx).await?;
    let cycle = wish.cycle.unwrap_or(before.cycle);
    let payable = wish.payment_method.is_some() || before.payment_method_sealed.is_some();
    let decided = plan_change(&before, &plan, cycle, payable, zone.zone(), now);
    let (kind, mut after, effective_at) = accept(decided.map_err(Problem::internal)?, now)?;

    if let Some(method) = &wish.payment_method {
        let row = after.id.as_uuid();
        let (purpose, column) = (Purpose::PaymentMethods, sealed::PAYMENT_METHOD);
        let sealed = sealed::seal(&app, &mut tx, purpose, column, row, method).await?;
        after.payment_method_sealed = Some(sealed);
    }
    let change = Change {
        id: SubscriptionChangeId::new(now, random()),
        subscription_id: after.id,
        kind,
        from: Some((before.plan, before.cycle)),
        to: (plan.plan, plan.version, cycle),
        requested_at: now,
        effective_at,
    };
    subscriptions::update(&mut tx, &after).await?;
    subscriptions::insert_change(&mut tx, &change).await?;
    let shown = ChangeBody::new(&change, &before);
    let changes = serde_json::to_value(&shown).map_err(Problem::internal)?;
    auth.caller.audit(&app, &mut tx, Action::SubscriptionChanged, after.id, changes).await?;
    events::publish(&app, &mut tx, &told(&after)).await?;

    let in_force = catalogue::get(&mut tx, after.plan, after.plan_version).await?;
    let subscription = SubscriptionBody::new(&after, &in_force.terms);
    let shown = Upgraded { subscription, change: shown };
    let response = first.answer(&app, &mut tx, StatusCode::OK, &shown).await?;
    auth.caller.commit(tx).await?;
    Ok(response)
}

/// What webhooks say of a subscription.
fn told(subscription: &Subscription) -> SubscriptionUpdated {
    let (status, trial_ends_at) = match subscription.status {
        SubscriptionStatus::Trialing { ends_at } => ("Trialing", Some(ends_at.to_string())),
        _ => ("Active", None),
    };
    SubscriptionUpdated(SubscriptionData {
        subscription_id: subscription.id.to_string(),
        plan: subscription.plan.to_string(),
        cycle: subscription.cycle.to_string(),
        status: status.to_owned(),
        period_end: subscription.period_end.to_string(),
        trial_ends_at,
        next_plan: subscription.next.map(|(plan, _)| plan.to_string()),
    })
}

async fn time_zone(tx: &mut TenantTx) -> Result<NamedTimeZone, Problem> {
    let tenant = tenants::get(tx).await?;
    tenant.time_zone.parse().map_err(Problem::internal)
}

/// The change with the time from which it holds, or why there is none.
fn accept(
    change: PlanChange,
    now: Timestamp,
) -> Result<(ChangeKind, Subscription, Timestamp), Problem> {
    match change {
        PlanChange::Now(kind, after) => Ok((kind, after, now)),
        PlanChange::AtPeriodEnd(kind, after) => {
            let effective_at = after.period_end;
            Ok((kind, after, effective_at))
        }
        PlanChange::Unchanged => Err(Problem::new(
            ProblemKind::Conflict,
            "The tenant has this plan and billing cycle already, or will from the period's end.",
        )),
        PlanChange::NeedsPaymentMethod => Err(Problem::new(
            ProblemKind::PaymentMethodRequired,
            "This plan costs money; send `payment_method` with the provider's reference.",
        )),
        PlanChange::NoPrice => {
            let mut faults = Faults::new();
            faults.push("/billing_cycle", "is not offered for this plan; see `GET /api/v1/plans`");
            Err(faults.into())
        }
    }
}

impl ChangeBody {
    fn new(change: &Change, before: &Subscription) -> Self {
        let (to_plan, _, to_cycle) = change.to;
        Self {
            id: change.id.to_string(),
            kind: change.kind.as_str(),
            from_plan: before.plan.as_str(),
            to_plan: to_plan.as_str(),
            from_billing_cycle: before.cycle.as_str(),
            to_billing_cycle: to_cycle.as_str(),
            effective_at: change.effective_at.to_string(),
        }
    }
}
