//! `POST …/pay`: an open invoice is charged now, and not when dunning comes to it.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::id::{ChargeId, InvoiceId};
use domain::problem::ProblemKind;
use http::StatusCode;
use jobs::catalog::Payments;
use jobs::{Options, enqueue};
use serde::Serialize;
use store::{charges, invoices, subscriptions};
use utoipa::ToSchema;

use crate::app::{App, random};
use crate::authorized::{Authorized, needs};
use crate::extract::PathId;
use crate::problem::Problem;

/// An attempt to collect an invoice.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttemptBody {
    #[schema(example = "charge_01h455vb4pex5vsknk084sn02q")]
    id: String,
    /// From 1.
    #[schema(example = 2)]
    attempt: u32,
    /// Through whom.
    #[schema(example = "Stripe")]
    provider: &'static str,
    /// `Pending`, `Processing`, `ActionRequired` (open `action_url`), `Succeeded`, `Declined` or `Canceled`.
    #[schema(example = "Declined")]
    state: &'static str,
    /// The provider's word for why it was refused.
    #[schema(example = "insufficient_funds")]
    failure: Option<String>,
    /// Where who pays confirms it.
    action_url: Option<String>,
    created_at: String,
}

impl AttemptBody {
    pub(crate) fn new(charge: charges::Charge) -> Self {
        Self {
            id: charge.id.to_string(),
            attempt: charge.attempt,
            provider: charge.provider.as_str(),
            state: charge.status.as_str(),
            failure: charge.decline.map(|(code, _)| code),
            action_url: charge.action_url,
            created_at: charge.created_at.to_string(),
        }
    }
}

/// Pay an invoice now
///
/// It is charged to the way to pay that is charged. What came of it is told by webhooks, and by the invoice's `attempts`.
/// One attempt at a time: while one is under way, it is answered.
#[utoipa::path(
    post,
    path = "/api/v1/tenants/{tenant_id}/invoices/{invoice_id}/pay",
    tag = "Billing",
    params(("tenant_id" = String, Path), ("invoice_id" = String, Path)),
    responses((status = 202, body = AttemptBody)),
    extensions(
        ("x-permission" = json!("ManageBilling")),
        ("x-problems" = json!(["payment-method-required", "conflict"])),
    ),
)]
pub(crate) async fn pay(
    State(app): State<App>,
    auth: Authorized<needs::ManageBilling>,
    PathId(id): PathId<InvoiceId>,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;
    let running = subscriptions::get_for_update(&mut tx).await?;
    if invoices::get(&mut tx, id).await?.invoice.status != "Open" {
        return Err(Problem::new(ProblemKind::Conflict, "Nothing of the invoice is to be paid."));
    }
    if running.pays_by.is_none() {
        let detail =
            "There is no way to pay on file; add one, which then is charged for all that is open.";
        return Err(Problem::new(ProblemKind::PaymentMethodRequired, detail));
    }

    let now = app.tenant_now(&mut tx).await?;
    if let Some(charge_id) = charges::begin(&mut tx, ChargeId::new(now, random()), id, now).await? {
        let job = Payments::Charge { tenant_id: tx.tenant_id(), charge_id };
        enqueue(&mut tx, &job, Options::default()).await?;
    }
    let Some(last) = charges::of_invoice(&mut tx, id).await?.pop() else {
        let detail = "Invoices are paid by transfer; the invoice says to which account.";
        return Err(Problem::new(ProblemKind::Conflict, detail));
    };

    auth.caller.commit(tx).await?;
    Ok((StatusCode::ACCEPTED, Json(AttemptBody::new(last))).into_response())
}
