//! A tenant's own time, where it has one: years of billing, tried in a minute.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::event::Action;
use domain::faults::Faults;
use domain::problem::ProblemKind;
use http::StatusCode;
use jiff::{Timestamp, ToSpan};
use jobs::catalog::Billing;
use jobs::{Options, enqueue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::test_clocks::{self, TestClock};
use utoipa::ToSchema;

use crate::app::{App, stored};
use crate::authorized::{Authorized, needs};
use crate::extract::{Body, Wire};
use crate::idempotency::{Attempt, IdempotencyKey};
use crate::problem::Problem;

/// How far it may be advanced at once, in hours: five years. Each period on the way is billed.
const HOURS_MAX: i64 = 5 * 366 * 24;

/// A tenant's own time.
#[derive(Serialize, ToSchema)]
pub(crate) struct TestClockBody {
    /// What time it is.
    now: String,
    /// To where it is being advanced; the same where it is at rest.
    target: String,
    /// `ready`, or `advancing` while what becomes due on the way is done.
    #[schema(example = "advancing")]
    status: &'static str,
}

impl TestClockBody {
    fn new(clock: TestClock) -> Self {
        Self {
            now: clock.now.to_string(),
            target: clock.target.to_string(),
            status: if clock.now < clock.target { "advancing" } else { "ready" },
        }
    }
}

/// Show the test clock
///
/// Of tenants that signed up with one; 404 for all others.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/test-clock",
    tag = "Billing",
    params(("tenant_id" = String, Path)),
    responses((status = 200, body = TestClockBody)),
    extensions(("x-permission" = json!("ViewBilling"))),
)]
pub(crate) async fn show(
    State(app): State<App>,
    auth: Authorized<needs::ViewBilling>,
) -> Result<Json<TestClockBody>, Problem> {
    let mut tx = auth.begin(&app).await?;

    let clock = test_clocks::get(&mut tx).await?.ok_or_else(Problem::not_found)?;

    Ok(Json(TestClockBody::new(clock)))
}

/// To where the clock is to go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdvanceTestClock {
    /// At most five years on.
    #[schema(format = DateTime, example = "2027-02-01T00:00:00Z")]
    to: String,
}

impl Wire for AdvanceTestClock {
    type Parsed = Timestamp;

    fn parse(self) -> Result<Timestamp, Faults> {
        let mut faults = Faults::new();
        let to = self.to.parse().map_err(|_| "must be a time such as `2027-02-01T00:00:00Z`");
        let to = faults.check("/to", to);
        faults.finish(to.map(stored))
    }
}

/// Advance the test clock
///
/// Trials that end, periods, invoices, payments and notices follow in their order. It takes a while: see
/// `GET …/test-clock`.
#[utoipa::path(
    post,
    path = "/api/v1/tenants/{tenant_id}/test-clock/advance",
    tag = "Billing",
    params(("tenant_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = AdvanceTestClock,
    responses((status = 202, body = TestClockBody)),
    extensions(("x-permission" = json!("ManageBilling")), ("x-problems" = json!(["conflict"]))),
)]
pub(crate) async fn advance(
    State(app): State<App>,
    auth: Authorized<needs::ManageBilling>,
    key: IdempotencyKey,
    body: Body<AdvanceTestClock>,
) -> Result<Response, Problem> {
    let to = body.value;
    let mut tx = auth.begin(&app).await?;
    let first = match key.attempt(&app, &mut tx, body.hash).await? {
        Attempt::Replay(response) => return Ok(response),
        Attempt::First(first) => first,
    };
    let clock = test_clocks::get(&mut tx).await?.ok_or_else(Problem::not_found)?;
    let furthest = clock.now.checked_add(HOURS_MAX.hours()).unwrap_or(Timestamp::MAX);
    if to > furthest {
        let mut faults = Faults::new();
        faults.push("/to", format!("must be at most {furthest}"));
        return Err(faults.into());
    }

    let aimed = test_clocks::aim(&mut tx, to).await.map_err(|error| match error {
        store::Error::Stale => {
            let detail = format!("The clock goes to {} already, and never back.", clock.target);
            Problem::new(ProblemKind::Conflict, detail)
        }
        other => other.into(),
    })?;
    let tenant_id = auth.tenant_id;
    let changes = json!({ "from": clock.now.to_string(), "to": to.to_string() });
    auth.caller.audit(&app, &mut tx, Action::TestClockAdvanced, tenant_id, changes).await?;
    enqueue(&mut tx, &Billing::Advance { tenant_id }, Options::default()).await?;

    let shown = TestClockBody::new(aimed);
    let response = first.answer(&app, &mut tx, StatusCode::ACCEPTED, &shown).await?;
    auth.caller.commit(tx).await?;
    Ok(response)
}
