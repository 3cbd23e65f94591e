//! `POST …/cancel` and `POST …/resume`: the end of what is paid, and taking it back.

use axum::extract::State;
use axum::response::Response;
use billing::{Decision, Turn};
use domain::event::Action;
use domain::problem::ProblemKind;
use http::StatusCode;
use serde::Serialize;
use store::subscriptions::told;
use utoipa::ToSchema;
use webhooks::events::billing::SubscriptionUpdated;

use crate::account::{self, ChangeBody};
use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::events;
use crate::idempotency::{Attempt, IdempotencyKey};
use crate::problem::Problem;
use crate::routes::billing::SubscriptionBody;

/// What was decided.
#[derive(Serialize, ToSchema)]
pub(crate) struct Scheduled {
    subscription: SubscriptionBody,
    change: ChangeBody,
}

/// What the engine is asked.
type Decide = fn(billing::Account<'_>, jiff::Timestamp) -> Result<Decision, billing::ChangeError>;

/// Cancel the subscription
///
/// It runs to the end of its period (a trial to the trial's end); then the Free plan follows. `POST …/resume` takes it
/// back until then.
#[utoipa::path(
    post,
    path = "/api/v1/tenants/{tenant_id}/cancel",
    tag = "Billing",
    params(("tenant_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = Scheduled)),
    extensions(("x-permission" = json!("ManageBilling")), ("x-problems" = json!(["conflict"]))),
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    auth: Authorized<needs::ManageBilling>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    let unchanged = "The plan is free, or is to end already.";
    decide(&app, &auth, key, billing::cancel, unchanged).await
}

/// Take back what is scheduled
///
/// The subscription goes on as it is: neither its end nor another plan follows.
#[utoipa::path(
    post,
    path = "/api/v1/tenants/{tenant_id}/resume",
    tag = "Billing",
    params(("tenant_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = Scheduled)),
    extensions(("x-permission" = json!("ManageBilling")), ("x-problems" = json!(["conflict"]))),
)]
pub(crate) async fn resume(
    State(app): State<App>,
    auth: Authorized<needs::ManageBilling>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    let unchanged = "Nothing is scheduled that could be taken back.";
    decide(&app, &auth, key, billing::resume, unchanged).await
}

async fn decide(
    app: &App,
    auth: &Authorized<needs::ManageBilling>,
    key: IdempotencyKey,
    decide: Decide,
    unchanged: &str,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(app).await?;
    let first = match key.attempt(app, &mut tx, [0; 32]).await? {
        Attempt::Replay(response) => return Ok(response),
        Attempt::First(first) => first,
    };
    let (loaded, now) = account::load(app, &mut tx).await?;
    let decision = decide(loaded.account(loaded.payable()), now).map_err(Problem::internal)?;
    let turn = turn(decision).ok_or_else(|| Problem::new(ProblemKind::Conflict, unchanged))?;

    let done = account::carry_out(app, &mut tx, &loaded, &turn, now).await?;
    let changes = serde_json::to_value(&done.change).map_err(Problem::internal)?;
    let (action, target) = (Action::SubscriptionChanged, turn.after.id);
    auth.caller.audit(app, &mut tx, action, target, changes).await?;
    events::publish(app, &mut tx, &SubscriptionUpdated(told(&turn.after, loaded.running.standing)))
        .await?;

    let subscription = SubscriptionBody::load(app, &mut tx).await?;
    let shown = Scheduled { subscription, change: done.change };
    let response = first.answer(app, &mut tx, StatusCode::OK, &shown).await?;
    auth.caller.commit(tx).await?;
    Ok(response)
}

fn turn(decision: Decision) -> Option<Turn> {
    match decision {
        Decision::Now(turn) | Decision::AtPeriodEnd(turn) => Some(turn),
        Decision::Unchanged | Decision::NeedsPaymentMethod => None,
    }
}
