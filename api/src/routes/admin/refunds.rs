//! Money that goes back: what a credit note gave to a tenant's credit, or what was paid too much, by the way it came.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::faults::Faults;
use domain::id::{CreditNoteId, PaymentId, RefundId};
use domain::money::Money;
use domain::problem::ProblemKind;
use http::StatusCode;
use jiff::Timestamp;
use jobs::catalog::Payments;
use jobs::{Options, enqueue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::refunds::{self, Refund, RefundError, Wish};
use store::{TenantTx, operator_events, subscriptions};
use utoipa::ToSchema;

use crate::app::random;
use crate::extract::{Body, PathId, PathTenant, Wire};
use crate::idempotency::{Attempt, IdempotencyKey};
use crate::operator::{Operator, OperatorApp};
use crate::problem::Problem;
use crate::routes::{MoneyBody, MoneyInput};

/// What is to go back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefundPayment {
    /// How much.
    amount: MoneyInput,
    /// The credit note that gave it to the tenant's credit; left out: it was paid too much.
    #[schema(example = "cn_01h455vb4pex5vsknk084sn02q")]
    credit_note_id: Option<String>,
}

/// A checked [`RefundPayment`].
pub(crate) struct NewRefund {
    amount: Money,
    credit_note_id: Option<CreditNoteId>,
}

impl Wire for RefundPayment {
    type Parsed = NewRefund;

    fn parse(self) -> Result<NewRefund, Faults> {
        let mut faults = Faults::new();
        let amount = self.amount.parse(&mut faults, "/amount", 1);
        let note = self.credit_note_id.map(|id| faults.check("/credit_note_id", id.parse()));
        faults.finish(amount.map(|amount| NewRefund { amount, credit_note_id: note.flatten() }))
    }
}

/// A refund.
#[derive(Serialize, ToSchema)]
pub(crate) struct RefundBody {
    #[schema(example = "refund_01h455vb4pex5vsknk084sn02q")]
    id: String,
    #[schema(example = "pay_01h455vb4pex5vsknk084sn02q")]
    payment_id: String,
    amount: MoneyBody,
    /// `Pending`, `Processing`, `Succeeded`, or `Failed`: then it is in the tenant's credit again.
    #[schema(example = "Pending")]
    state: String,
    created_at: String,
}

impl RefundBody {
    fn new(refund: Refund) -> Self {
        Self {
            id: refund.id.to_string(),
            payment_id: refund.payment_id.to_string(),
            amount: refund.amount.into(),
            state: refund.state,
            created_at: refund.created_at.to_string(),
        }
    }
}

/// Give money back
///
/// Of one payment, by the way it came: what a credit note gave to the tenant's credit, or what was paid too much. It is
/// taken from the credit at once, and put there again if it does not arrive. What no provider moves (transfers, payments
/// that an operator recorded) you pay back by hand first.
#[utoipa::path(
    post,
    path = "/api/v1/admin/tenants/{tenant_id}/payments/{payment_id}/refunds",
    tag = "Billing",
    params(
        ("tenant_id" = String, Path),
        ("payment_id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header),
    ),
    request_body = RefundPayment,
    responses((status = 201, body = RefundBody)),
    extensions(("x-problems" = json!(["not-found", "conflict"]))),
)]
pub(crate) async fn refund(
    State(app): State<OperatorApp>,
    operator: Operator,
    PathTenant(tenant_id): PathTenant,
    PathId(payment_id): PathId<PaymentId>,
    key: IdempotencyKey,
    body: Body<RefundPayment>,
) -> Result<Response, Problem> {
    let NewRefund { amount, credit_note_id } = body.value;
    let mut tx = app.store.begin(tenant_id).await?;
    let first = match key.attempt(&app, &mut tx, body.hash).await? {
        Attempt::Replay(response) => return Ok(response),
        Attempt::First(first) => first,
    };
    let now = app.tenant_now(&mut tx).await?;
    // Locked first, as whoever changes what a tenant owes does.
    let currency = subscriptions::get_for_update(&mut tx).await?.currency;
    if amount.currency != currency {
        let mut faults = Faults::new();
        faults.push("/amount/currency", format!("must be {currency}, as the tenant pays in"));
        return Err(faults.into());
    }

    let id = RefundId::new(now, random());
    let wish = Wish { id, payment_id, credit_note_id, amount_minor: amount.amount_minor };
    let begun = refunds::begin(&mut tx, &wish, now).await.map_err(refused)?;
    send(&mut tx, id).await?;
    let details = json!({
        "tenant": tenant_id.to_string(), "payment": payment_id.to_string(), "refund": id.to_string(),
        "amount": amount, "credit_note": credit_note_id.map(|id| id.to_string()),
    });
    let event = operator.event(&app, "payment.refunded", details);
    operator_events::record(&mut tx, &event).await?;

    let response =
        first.answer(&app, &mut tx, StatusCode::CREATED, &RefundBody::new(begun)).await?;
    tx.commit().await?;
    Ok(response)
}

/// Show a refund
#[utoipa::path(
    get,
    path = "/api/v1/admin/tenants/{tenant_id}/refunds/{refund_id}",
    tag = "Billing",
    params(("tenant_id" = String, Path), ("refund_id" = String, Path)),
    responses((status = 200, body = RefundBody)),
    extensions(("x-problems" = json!(["not-found"]))),
)]
pub(crate) async fn show_refund(
    State(app): State<OperatorApp>,
    PathTenant(tenant_id): PathTenant,
    PathId(id): PathId<RefundId>,
) -> Result<Json<RefundBody>, Problem> {
    let mut tx = app.store.begin(tenant_id).await?;
    Ok(Json(RefundBody::new(refunds::get(&mut tx, id).await?)))
}

/// Gives back what a credit note gave to the balance.
pub(super) async fn begin_of_note(
    tx: &mut TenantTx,
    note: CreditNoteId,
    now: Timestamp,
) -> Result<(), Problem> {
    let id = || RefundId::new(now, random());
    for refund in refunds::begin_of_note(tx, note, id, now).await.map_err(refused)? {
        send(tx, refund.id).await?;
    }
    Ok(())
}

async fn send(tx: &mut TenantTx, refund_id: RefundId) -> Result<(), Problem> {
    let job = Payments::Refund { tenant_id: tx.tenant_id(), refund_id };
    enqueue(tx, &job, Options::default()).await?;
    Ok(())
}

fn refused(error: RefundError) -> Problem {
    match error {
        RefundError::Store(error) => error.into(),
        other => Problem::new(ProblemKind::Conflict, format!("Nothing goes back: {other}.")),
    }
}
