//! The way to pay that is charged, as one thing: for whoever has only one.

use axum::Json;
use axum::extract::State;
use domain::event::Action;
use domain::faults::Faults;
use domain::secret::Secret;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use store::subscriptions;
use utoipa::ToSchema;

use super::PaymentMethodBody;
use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::extract::{Body, Wire};
use crate::problem::Problem;
use crate::ways_to_pay::{self, Wish};

/// The way to pay to be charged.
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
        let token = ways_to_pay::token(&mut faults, self.payment_method);
        faults.finish(Some(token))
    }
}

/// Set the way to pay
///
/// Adds one with the installation's provider of cards, and charges it from now on. Invoices that are open are collected by
/// it at once.
#[utoipa::path(
    put,
    path = "/api/v1/tenants/{tenant_id}/payment-methods/default",
    tag = "Billing",
    params(("tenant_id" = String, Path)),
    request_body = PutPaymentMethod,
    responses((status = 200, body = PaymentMethodBody)),
    extensions(
        ("x-permission" = json!("ManageBilling")),
        ("x-problems" = json!(["payment-method-required", "conflict"])),
    ),
)]
pub(crate) async fn put(
    State(app): State<App>,
    auth: Authorized<needs::ManageBilling>,
    body: Body<PutPaymentMethod>,
) -> Result<Json<PaymentMethodBody>, Problem> {
    let plan = super::plan(&app, &auth).await?;
    let wish = Wish { provider: None, token: Some(body.value) };
    let kept = ways_to_pay::ask(&app, auth.tenant_id(), plan, wish).await?;
    let mut tx = auth.begin(&app).await?;
    subscriptions::get_for_update(&mut tx).await?;

    let now = app.tenant_now(&mut tx).await?;
    let method = ways_to_pay::put_on_file(&app, &mut tx, &kept, true, now).await?;
    let changes = json!({ "provider": method.provider, "default": method.is_default });
    auth.caller.audit(&app, &mut tx, Action::PaymentMethodSet, method.id, changes).await?;

    auth.caller.commit(tx).await?;
    Ok(Json(PaymentMethodBody::new(method)))
}

/// Remove the way to pay that is charged
///
/// Refused while something is or will be to be paid: an invoice that is open or a draft, or a plan that costs money and is
/// not on trial.
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
    super::remove_from_file(&app, &auth, None).await
}
