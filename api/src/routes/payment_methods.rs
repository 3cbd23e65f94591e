//! The way to pay. There is at most one, and its reference is never shown.

use axum::Json;
use axum::extract::State;
use domain::event::Action;
use domain::faults::Faults;
use domain::id::SubscriptionId;
use domain::plan::PlanName;
use domain::problem::ProblemKind;
use domain::secret::Secret;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::billing::account::{self as store_account, Loaded};
use store::{TenantTx, invoices, subscriptions};
use utoipa::ToSchema;
use vault::Purpose;

use crate::account;
use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::extract::{Body, Wire};
use crate::problem::Problem;
use crate::routes::List;
use crate::sealed;

/// Longest reference of a way to pay.
const REFERENCE_LEN_MAX: usize = 255;
/// The name of the only one.
const DEFAULT: &str = "default";

/// A way to pay.
#[derive(Serialize, ToSchema)]
pub(crate) struct PaymentMethodBody {
    /// Always `default`: there is one.
    #[schema(example = "default")]
    id: &'static str,
}

/// The way to pay to be kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutPaymentMethod {
    /// The payment provider's reference of it.
    #[schema(example = "card_1234567890")]
    payment_method: String,
}

impl Wire for PutPaymentMethod {
    type Parsed = Secret<String>;

    fn parse(self) -> Result<Secret<String>, Faults> {
        let mut faults = Faults::new();
        let method = payment_method(&mut faults, self.payment_method);
        faults.finish(Some(method))
    }
}

/// A provider's reference, checked for its form.
pub(crate) fn payment_method(faults: &mut Faults, text: String) -> Secret<String> {
    let graphic = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || text.len() > REFERENCE_LEN_MAX || !graphic {
        faults.push("/payment_method", "must be a provider's reference such as `card_1234567890`");
    }
    Secret::new(text)
}

/// Seals and stores the way to pay, in place of the one before.
pub(crate) async fn keep(
    app: &App,
    tx: &mut TenantTx,
    id: SubscriptionId,
    method: &Secret<String>,
) -> Result<(), Problem> {
    if !app.books.terms.charges {
        let mut faults = Faults::new();
        faults.push("/payment_method", "cannot be charged: no provider takes cards here");
        return Err(faults.into());
    }
    let (purpose, column) = (Purpose::PaymentMethods, sealed::PAYMENT_METHOD);
    let sealed = sealed::seal(app, tx, purpose, column, id.as_uuid(), method).await?;
    subscriptions::set_payment_method(tx, id, Some(&sealed)).await?;
    Ok(())
}

/// List ways to pay
///
/// At most one. What it is, only the payment provider knows.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/payment-methods",
    tag = "Billing",
    params(("tenant_id" = String, Path)),
    responses((status = 200, body = List<PaymentMethodBody>)),
    extensions(("x-permission" = json!("ViewBilling"))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    auth: Authorized<needs::ViewBilling>,
) -> Result<Json<List<PaymentMethodBody>>, Problem> {
    let mut tx = auth.begin(&app).await?;

    let running = subscriptions::get(&mut tx).await?;

    let kept = running.payment_method_sealed.map(|_| PaymentMethodBody { id: DEFAULT });
    Ok(Json(List { data: kept.into_iter().collect(), next_cursor: None }))
}

/// Set the way to pay
///
/// In place of the one before. Invoices that are open are collected by it at once.
#[utoipa::path(
    put,
    path = "/api/v1/tenants/{tenant_id}/payment-methods/default",
    tag = "Billing",
    params(("tenant_id" = String, Path)),
    request_body = PutPaymentMethod,
    responses((status = 200, body = PaymentMethodBody)),
    extensions(("x-permission" = json!("ManageBilling"))),
)]
pub(crate) async fn put(
    State(app): State<App>,
    auth: Authorized<needs::ManageBilling>,
    body: Body<PutPaymentMethod>,
) -> Result<Json<PaymentMethodBody>, Problem> {
    let mut tx = auth.begin(&app).await?;
    let running = subscriptions::get_for_update(&mut tx).await?;

    keep(&app, &mut tx, running.id, &body.value).await?;
    for invoice in invoices::open(&mut tx).await? {
        account::collect(&mut tx, invoice).await?;
    }
    let changes = json!({ "replaced": running.payment_method_sealed.is_some() });
    let (action, target) = (Action::PaymentMethodSet, running.id);
    auth.caller.audit(&app, &mut tx, action, target, changes).await?;

    auth.caller.commit(tx).await?;
    Ok(Json(PaymentMethodBody { id: DEFAULT }))
}

/// Remove the way to pay
///
/// Refused while something is or will be to be paid: an invoice that is open or a draft, or a plan that costs money and is not on trial.
#[utoipa::path(
    delete,
    path = "/api/v1/tenants/{tenant_id}/payment-methods/default",
    tag = "Billing",
    params(("tenant_id" = String, Path)),
    responses((status = 204)),
    extensions(("x-permission" = json!("ManageBilling")), ("x-problems" = json!(["conflict"]))),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    auth: Authorized<needs::ManageBilling>,
) -> Result<StatusCode, Problem> {
    let mut tx = auth.begin(&app).await?;
    let loaded = store_account::load(&mut tx, &app.books, false).await?;
    if !loaded.payable() {
        return Err(Problem::not_found());
    }
    let drafts = invoices::drafts(&mut tx, loaded.running.id).await?;
    let open = invoices::count_open(&mut tx).await? > 0 || !drafts.is_empty();
    if costs(&loaded) || open {
        let detail = "Something is or will be to be paid; set another way to pay instead, or cancel the subscription \
            and pay what is open.";
        return Err(Problem::new(ProblemKind::Conflict, detail));
    }

    let id = loaded.running.id;
    subscriptions::set_payment_method(&mut tx, id, None).await?;
    auth.caller.audit(&app, &mut tx, Action::PaymentMethodRemoved, id, json!({})).await?;

    auth.caller.commit(tx).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether the subscription as it is will ask for money. A trial without a way to pay ends on the free plan; what is to
/// end and charges for no use asks for nothing more.
fn costs(loaded: &Loaded) -> bool {
    let (plan, _) = loaded.running.target();
    let ends = plan == PlanName::Free && loaded.offer.charges.is_empty();
    !loaded.offer.is_free() && !loaded.running.is_trialing() && !ends
}
