//! Ways to pay: what of them may be shown, never what a provider knows them by. One is the default, and is charged.

pub(crate) mod default;

use axum::Json;
use axum::extract::State;
use domain::event::Action;
use domain::faults::Faults;
use domain::id::PaymentMethodId;
use domain::payment::MethodLabel;
use domain::plan::PlanName;
use domain::problem::ProblemKind;
use http::StatusCode;
use jobs::catalog::Payments;
use jobs::{Options, enqueue};
use payments::MethodState;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::billing::account::{self as store_account, Loaded};
use store::payment_methods::{self, Method};
use store::{TenantTx, invoices, subscriptions};
use utoipa::ToSchema;

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::extract::{Body, PathId, Wire};
use crate::problem::Problem;
use crate::routes::List;
use crate::ways_to_pay::{self, Wish};

/// A way to pay.
#[derive(Serialize, ToSchema)]
pub(crate) struct PaymentMethodBody {
    #[schema(example = "paymethod_01h455vb4pex5vsknk084sn02q")]
    id: String,
    /// `Stripe`, `PayPal`, `BankTransfer`, `BtcPay` (crypto currencies), or `Sandbox` on a local installation.
    #[schema(example = "Stripe")]
    provider: &'static str,
    /// `Usable`, `NeedsConfirmation` (open `confirm_url`) or `Refused`.
    #[schema(example = "Usable")]
    state: String,
    /// Whether it is the one that is charged.
    default: bool,
    /// Of a card.
    #[schema(example = "visa")]
    brand: Option<String>,
    /// Of a card: its last four digits.
    #[schema(example = "4242")]
    last_four: Option<String>,
    /// The last day on which it is good.
    #[schema(example = "2028-12-31")]
    expires_on: Option<String>,
    /// Whose account it is, where it is one.
    email: Option<String>,
    /// Where its owner confirms it with the provider, while that is needed.
    confirm_url: Option<String>,
    created_at: String,
}

impl PaymentMethodBody {
    pub(crate) fn new(method: Method) -> Self {
        let MethodLabel { brand, last_four, expires_on, email } = method.label;
        Self {
            id: method.id.to_string(),
            provider: method.provider.as_str(),
            state: method.state,
            default: method.is_default,
            brand,
            last_four,
            expires_on: expires_on.map(|day| day.to_string()),
            email,
            confirm_url: method.confirm_url,
            created_at: method.created_at.to_string(),
        }
    }
}

/// A way to pay to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddPaymentMethod {
    /// With whom; the installation's provider of cards when left out.
    #[schema(example = "Stripe")]
    provider: Option<String>,
    /// What the provider's page or script gave for it (`pm_…`). Left out where its owner goes to the provider first: to
    /// `confirm_url` of the answer.
    #[schema(example = "pm_1PqbXq2eZvKYlo2C")]
    payment_method: Option<String>,
    /// Whether it is charged from now on, once it can be used.
    #[serde(default = "yes")]
    default: bool,
}

const fn yes() -> bool {
    true
}

/// A checked [`AddPaymentMethod`].
pub(crate) struct Addition {
    wish: Wish,
    default: bool,
}

impl Wire for AddPaymentMethod {
    type Parsed = Addition;

    fn parse(self) -> Result<Addition, Faults> {
        let mut faults = Faults::new();
        let provider = self.provider.map(|name| faults.check("/provider", name.parse()));
        let token = self.payment_method.map(|text| ways_to_pay::token(&mut faults, text));
        let wish = Wish { provider: provider.flatten(), token };
        faults.finish(Some(Addition { wish, default: self.default }))
    }
}

/// List ways to pay
///
/// What of them may be shown. The one that is charged comes first.
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

    let methods = payment_methods::list(&mut tx).await?;

    let data = methods.into_iter().map(PaymentMethodBody::new).collect();
    Ok(Json(List { data, next_cursor: None }))
}

/// Add a way to pay
///
/// As the one that is charged, unless `default` is `false`: then all that is open is collected by it at once. Where the
/// answer says `NeedsConfirmation`, send its owner to `confirm_url`, and call `…/confirm` when they are back.
#[utoipa::path(
    post,
    path = "/api/v1/tenants/{tenant_id}/payment-methods",
    tag = "Billing",
    params(("tenant_id" = String, Path)),
    request_body = AddPaymentMethod,
    responses((status = 201, body = PaymentMethodBody)),
    extensions(
        ("x-permission" = json!("ManageBilling")),
        ("x-problems" = json!(["payment-method-required", "conflict"])),
    ),
)]
pub(crate) async fn add(
    State(app): State<App>,
    auth: Authorized<needs::ManageBilling>,
    body: Body<AddPaymentMethod>,
) -> Result<(StatusCode, Json<PaymentMethodBody>), Problem> {
    let Addition { wish, default } = body.value;
    let plan = plan(&app, &auth).await?;
    let kept = ways_to_pay::ask(&app, auth.tenant_id(), plan, wish).await?;
    let mut tx = auth.begin(&app).await?;
    subscriptions::get_for_update(&mut tx).await?;

    let now = app.tenant_now(&mut tx).await?;
    let method = ways_to_pay::put_on_file(&app, &mut tx, &kept, default, now).await?;
    let changes = json!({ "provider": method.provider, "default": method.is_default });
    auth.caller.audit(&app, &mut tx, Action::PaymentMethodSet, method.id, changes).await?;

    auth.caller.commit(tx).await?;
    Ok((StatusCode::CREATED, Json(PaymentMethodBody::new(method))))
}

async fn plan(app: &App, auth: &Authorized<needs::ManageBilling>) -> Result<PlanName, Problem> {
    let mut tx = auth.begin(app).await?;
    Ok(subscriptions::get(&mut tx).await?.plan)
}

/// Show a way to pay
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/payment-methods/{payment_method_id}",
    tag = "Billing",
    params(("tenant_id" = String, Path), ("payment_method_id" = String, Path)),
    responses((status = 200, body = PaymentMethodBody)),
    extensions(("x-permission" = json!("ViewBilling"))),
)]
pub(crate) async fn show(
    State(app): State<App>,
    auth: Authorized<needs::ViewBilling>,
    PathId(id): PathId<PaymentMethodId>,
) -> Result<Json<PaymentMethodBody>, Problem> {
    let mut tx = auth.begin(&app).await?;

    let method = payment_methods::get(&mut tx, id).await?;

    Ok(Json(PaymentMethodBody::new(method)))
}

/// Charge a way to pay from now on
///
/// In place of the one before. All that is open is collected by it at once.
#[utoipa::path(
    post,
    path = "/api/v1/tenants/{tenant_id}/payment-methods/{payment_method_id}/default",
    tag = "Billing",
    params(("tenant_id" = String, Path), ("payment_method_id" = String, Path)),
    responses((status = 200, body = PaymentMethodBody)),
    extensions(("x-permission" = json!("ManageBilling")), ("x-problems" = json!(["conflict"]))),
)]
pub(crate) async fn make_default(
    State(app): State<App>,
    auth: Authorized<needs::ManageBilling>,
    PathId(id): PathId<PaymentMethodId>,
) -> Result<Json<PaymentMethodBody>, Problem> {
    let mut tx = auth.begin(&app).await?;
    let running = subscriptions::get_for_update(&mut tx).await?;

    let method = ways_to_pay::choose_on_file(&app, &mut tx, id, running.plan).await?;
    let changes = json!({ "provider": method.provider, "default": true });
    auth.caller.audit(&app, &mut tx, Action::PaymentMethodSet, id, changes).await?;

    auth.caller.commit(tx).await?;
    Ok(Json(PaymentMethodBody::new(method)))
}

/// Confirm a way to pay
///
/// When its owner is back from `confirm_url`: the provider is asked whether it can be used now. The first that can is the
/// one that is charged.
#[utoipa::path(
    post,
    path = "/api/v1/tenants/{tenant_id}/payment-methods/{payment_method_id}/confirm",
    tag = "Billing",
    params(("tenant_id" = String, Path), ("payment_method_id" = String, Path)),
    responses((status = 200, body = PaymentMethodBody)),
    extensions(
        ("x-permission" = json!("ManageBilling")),
        ("x-problems" = json!(["payment-method-required"])),
    ),
)]
pub(crate) async fn confirm(
    State(app): State<App>,
    auth: Authorized<needs::ManageBilling>,
    PathId(id): PathId<PaymentMethodId>,
) -> Result<Json<PaymentMethodBody>, Problem> {
    let mut tx = auth.begin(&app).await?;
    let method = payment_methods::get(&mut tx, id).await?;
    if method.state != "NeedsConfirmation" {
        return Ok(Json(PaymentMethodBody::new(method)));
    }
    let token = payment_methods::token(&mut tx, &app.keys.sealer, id).await?;
    drop(tx);
    let saved = ways_to_pay::confirmed(&app, &method, &token).await?;
    if saved.state != MethodState::Usable {
        return Ok(Json(PaymentMethodBody::new(method)));
    }

    let mut tx = auth.begin(&app).await?;
    let running = subscriptions::get_for_update(&mut tx).await?;
    let now = app.tenant_now(&mut tx).await?;
    let confirmed = payment_methods::NewMethod {
        id,
        provider: method.provider,
        token: &saved.token,
        label: &saved.label,
        confirm_url: None,
    };
    payment_methods::confirm(&mut tx, &app.keys.sealer, &confirmed, now).await?;
    if running.pays_by.is_none() {
        ways_to_pay::charge_from_now_on(&mut tx, id).await?;
    }
    let method = payment_methods::get(&mut tx, id).await?;
    let changes = json!({ "provider": method.provider, "default": method.is_default });
    auth.caller.audit(&app, &mut tx, Action::PaymentMethodSet, id, changes).await?;

    auth.caller.commit(tx).await?;
    Ok(Json(PaymentMethodBody::new(method)))
}

/// Remove a way to pay
///
/// The one that is charged stays while something is or will be to be paid: an invoice that is open or a draft, or a plan
/// that costs money and is not on trial.
#[utoipa::path(
    delete,
    path = "/api/v1/tenants/{tenant_id}/payment-methods/{payment_method_id}",
    tag = "Billing",
    params(("tenant_id" = String, Path), ("payment_method_id" = String, Path)),
    responses((status = 204)),
    extensions(("x-permission" = json!("ManageBilling")), ("x-problems" = json!(["conflict"]))),
)]
pub(crate) async fn remove(
    State(app): State<App>,
    auth: Authorized<needs::ManageBilling>,
    PathId(id): PathId<PaymentMethodId>,
) -> Result<StatusCode, Problem> {
    remove_from_file(&app, &auth, Some(id)).await
}

/// Takes a way to pay off the file, and has its provider forget it. `None`: the default.
async fn remove_from_file(
    app: &App,
    auth: &Authorized<needs::ManageBilling>,
    id: Option<PaymentMethodId>,
) -> Result<StatusCode, Problem> {
    let mut tx = auth.begin(app).await?;
    let loaded = store_account::load(&mut tx, &app.books, false).await?;
    let methods = payment_methods::list(&mut tx).await?;
    let wished = |method: &Method| id.map_or(method.is_default, |id| method.id == id);
    let method = methods.into_iter().find(wished).ok_or_else(Problem::not_found)?;
    if method.is_default && owes(&mut tx, &loaded).await? {
        let detail = "Something is or will be to be paid; set another way to pay instead, or cancel the subscription \
            and pay what is open.";
        return Err(Problem::new(ProblemKind::Conflict, detail));
    }

    payment_methods::remove(&mut tx, method.id).await?;
    let forget = Payments::Forget { tenant_id: tx.tenant_id(), payment_method_id: method.id };
    enqueue(&mut tx, &forget, Options::default()).await?;
    let changes = json!({ "provider": method.provider });
    auth.caller.audit(app, &mut tx, Action::PaymentMethodRemoved, method.id, changes).await?;

    auth.caller.commit(tx).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether something is or will be to be paid.
async fn owes(tx: &mut TenantTx, loaded: &Loaded) -> Result<bool, Problem> {
    let drafts = invoices::drafts(tx, loaded.running.id).await?;
    Ok(costs(loaded) || !drafts.is_empty() || invoices::count_open(tx).await? > 0)
}

/// Whether the subscription as it is will ask for money. A trial without a way to pay ends on the free plan; what is to
/// end and charges for no use asks for nothing more.
fn costs(loaded: &Loaded) -> bool {
    let (plan, _) = loaded.running.target();
    let ends = plan == PlanName::Free && loaded.offer.charges.is_empty();
    !loaded.offer.is_free() && !loaded.running.is_trialing() && !ends
}
