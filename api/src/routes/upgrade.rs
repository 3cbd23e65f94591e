//! `POST …/upgrade`: another plan or cycle. What it costs is said before (`?preview=true`), by the same steps.

mod step;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::event::Action;
use domain::faults::Faults;
use domain::id::PaymentMethodId;
use domain::plan::{BillingCycle, PlanName};
use domain::secret::Secret;
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::TenantTx;
use store::billing::finalize;
use store::subscriptions::told;
use utoipa::ToSchema;
use webhooks::events::billing::SubscriptionUpdated;

use crate::account::{self, ChangeBody};
use crate::app::{App, stored};
use crate::authorized::{Authorized, needs};
use crate::events;
use crate::extract::{Body, Preview, Wire};
use crate::idempotency::{Attempt, IdempotencyKey};
use crate::problem::Problem;
use crate::routes::billing::SubscriptionBody;
use crate::routes::invoices::detail::{InvoiceDetailBody, PreviewInvoiceBody};
use crate::routes::usage::meters::OverLimitBody;
use crate::ways_to_pay::{self, Kept};

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
    /// The payment provider's reference of a new way to pay, or the id of one on file; the one that is charged when left out.
    #[schema(example = "card_1234567890")]
    payment_method: Option<String>,
    /// That of a preview, at most 15 minutes ago: what is charged is then what was shown, to the cent.
    #[schema(format = DateTime)]
    proration_date: Option<String>,
    /// That of a preview: refused if the subscription was changed since.
    subscription_version: Option<i64>,
    /// `true` for a cheaper plan whose limits are below what there is.
    #[serde(default)]
    accept_over_limit: bool,
}

/// A checked [`UpgradePlan`].
pub(crate) struct Wish {
    plan: PlanName,
    cycle: Option<BillingCycle>,
    payment_method: Option<Given>,
    proration_date: Option<Timestamp>,
    subscription_version: Option<i64>,
    accept_over_limit: bool,
}

impl Wire for UpgradePlan {
    type Parsed = Wish;

    fn parse(self) -> Result<Wish, Faults> {
        let mut faults = Faults::new();
        let plan = faults.check("/new_plan", self.new_plan.parse());
        let cycle =
            self.billing_cycle.and_then(|cycle| faults.check("/billing_cycle", cycle.parse()));
        let method = self.payment_method;
        let payment_method = method.map(|text| Given::parse(&mut faults, text));
        let proration_date = self.proration_date.and_then(|text| {
            let at = text.parse().map_err(|_| "must be the `proration_date` of a preview");
            faults.check("/proration_date", at).map(stored)
        });
        faults.finish(plan.map(|plan| Wish {
            plan,
            cycle,
            payment_method,
            proration_date,
            subscription_version: self.subscription_version,
            accept_over_limit: self.accept_over_limit,
        }))
    }
}

/// A way to pay, as it is sent with the wish for a plan.
enum Given {
    /// One on file.
    OnFile(PaymentMethodId),
    /// A provider's token of a new one.
    New(Secret<String>),
}

impl Given {
    fn parse(faults: &mut Faults, text: String) -> Self {
        match text.parse() {
            Ok(id) => Self::OnFile(id),
            Err(_) => Self::New(ways_to_pay::token(faults, text)),
        }
    }
}

/// What came of it, or what would.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum UpgradeAnswer {
    /// It was changed, or will be.
    Done(Box<Upgraded>),
    /// With `?preview=true`: nothing was changed.
    Preview(Box<UpgradePreview>),
}

/// What was changed, or will be.
#[derive(Serialize, ToSchema)]
pub(crate) struct Upgraded {
    subscription: SubscriptionBody,
    change: ChangeBody,
    /// What was billed for it; `null` where nothing was.
    invoice: Option<InvoiceDetailBody>,
}

/// What would be changed.
#[derive(Serialize, ToSchema)]
pub(crate) struct UpgradePreview {
    /// As it would be.
    subscription: SubscriptionBody,
    effective_at: String,
    /// What would be billed for it now; `null` where nothing would.
    invoice: Option<PreviewInvoiceBody>,
    /// Send both with the change, so that what was shown is what is charged.
    proration_date: String,
    subscription_version: i64,
    /// Whether `payment_method` must be sent, as none is on file.
    payment_method_required: bool,
    /// What there is more of than the plan allows. A cheaper plan then needs `accept_over_limit`.
    over_limit: Vec<OverLimitBody>,
}

/// Change the plan
///
/// A dearer plan or a longer cycle holds at once, and is billed at once: what is unused of the old is given back, the
/// rest of the new is charged. A cheaper plan or a shorter cycle holds from the end of the running period. In a trial,
/// all holds at once. Asking for the present plan again takes a scheduled change back.
///
/// With `?preview=true` nothing is changed: the answer says what would be, and what it would cost.
#[utoipa::path(
    post,
    path = "/api/v1/tenants/{tenant_id}/upgrade",
    tag = "Billing",
    params(
        ("tenant_id" = String, Path),
        ("preview" = Option<bool>, Query),
        ("Idempotency-Key" = Option<String>, Header),
    ),
    request_body = UpgradePlan,
    responses((status = 200, body = UpgradeAnswer)),
    extensions(
        ("x-permission" = json!("ManageBilling")),
        ("x-problems" = json!(["payment-method-required", "plan-limit-reached", "conflict"])),
    ),
)]
pub(crate) async fn upgrade(
    State(app): State<App>,
    auth: Authorized<needs::ManageBilling>,
    key: IdempotencyKey,
    Preview(preview): Preview,
    body: Body<UpgradePlan>,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;
    if preview {
        return show_preview(&app, tx, &body.value).await;
    }
    if let Attempt::Replay(response) = key.clone().attempt(&app, &mut tx, body.hash).await? {
        return Ok(response);
    }
    // The provider takes its time, so nothing is held meanwhile; and it keeps the same way to pay when it is asked again.
    drop(tx);
    let kept = kept(&app, &auth, &body.value).await?;

    let mut tx = auth.begin(&app).await?;
    let first = match key.attempt(&app, &mut tx, body.hash).await? {
        Attempt::Replay(response) => return Ok(response),
        Attempt::First(first) => first,
    };
    let wish = body.value;
    let step = step::decide(&app, &mut tx, &wish, wish.payment_method.is_some()).await?;
    step.check_limits(&wish)?;
    step.check_standing()?;

    match (&wish.payment_method, &kept) {
        (_, Some(kept)) => {
            ways_to_pay::put_on_file(&app, &mut tx, kept, true, step.now).await?;
        }
        (Some(Given::OnFile(id)), None) => {
            ways_to_pay::choose_on_file(&app, &mut tx, *id, wish.plan).await?;
        }
        _ => {}
    }
    for invoice in &step.billed_before {
        account::collect(&mut tx, *invoice).await?;
    }
    let done = account::carry_out(&app, &mut tx, &step.loaded, &step.turn, step.now).await?;
    let changes = serde_json::to_value(&done.change).map_err(Problem::internal)?;
    let (action, target) = (Action::SubscriptionChanged, step.turn.after.id);
    auth.caller.audit(&app, &mut tx, action, target, changes).await?;
    events::publish(
        &app,
        &mut tx,
        &SubscriptionUpdated(told(&step.turn.after, step.loaded.running.standing)),
    )
    .await?;

    let shown = UpgradeAnswer::Done(Box::new(Upgraded {
        subscription: SubscriptionBody::load(&app, &mut tx).await?,
        change: done.change,
        invoice: InvoiceDetailBody::load(&mut tx, done.invoice).await?,
    }));
    let response = first.answer(&app, &mut tx, StatusCode::OK, &shown).await?;
    auth.caller.commit(tx).await?;
    Ok(response)
}

/// A new way to pay, kept by its provider.
async fn kept(
    app: &App,
    auth: &Authorized<needs::ManageBilling>,
    wish: &Wish,
) -> Result<Option<Kept>, Problem> {
    let Some(Given::New(token)) = &wish.payment_method else { return Ok(None) };
    let method = ways_to_pay::Wish { provider: None, token: Some(token.clone()) };
    ways_to_pay::ask(app, auth.tenant_id(), wish.plan, method).await.map(Some)
}

/// What would come of `wish`. The drafts before it are billed here, too, as they change what it costs; `tx` is not
/// committed.
async fn show_preview(app: &App, mut tx: TenantTx, wish: &Wish) -> Result<Response, Problem> {
    // What it costs may be asked before there is a way to pay it.
    let step = step::decide(app, &mut tx, wish, true).await?;
    let invoice = match &step.turn.draft {
        Some(draft) => {
            let running = &step.loaded.running;
            finalize::preview(&mut tx, &app.books, running, draft, step.now).await?
        }
        None => None,
    };
    let after = &step.turn.after;
    let running = &step.loaded.running;
    let payable = wish.payment_method.is_some() || ways_to_pay::pays_for(app, running, wish.plan);
    let standing = step.loaded.running.standing;
    let in_force = app.books.version(&mut tx, after.plan, after.plan_version).await?;
    drop(tx);

    let preview = UpgradePreview {
        subscription: SubscriptionBody::new(after, standing, payable, &in_force.terms),
        effective_at: step.turn.effective_at().to_string(),
        invoice: invoice.as_ref().map(PreviewInvoiceBody::new),
        proration_date: step.at.to_string(),
        subscription_version: step.version,
        payment_method_required: !payable && !step.offer.is_free(),
        over_limit: step.over_limit,
    };
    Ok(Json(UpgradeAnswer::Preview(Box::new(preview))).into_response())
}
