//! Where a provider's money and the books differ: list it, have the books follow the provider, or say why it may stay.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use domain::faults::Faults;
use domain::id::DifferenceId;
use domain::problem::ProblemKind;
use http::StatusCode;
use jobs::catalog::Payments;
use jobs::{Options, enqueue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::operator_events;
use store::reconciliation::{self, Difference, Ending};
use utoipa::{IntoParams, ToSchema};

use crate::extract::{Body, PageQuery, PathId, Wire, malformed_query};
use crate::operator::{Operator, OperatorApp};
use crate::problem::Problem;
use crate::routes::List;

/// Longest reason.
const REASON_CHARS_MAX: usize = 500;

/// A difference.
#[derive(Serialize, ToSchema)]
pub(crate) struct DifferenceBody {
    #[schema(example = "difference_01h455vb4pex5vsknk084sn02q")]
    id: String,
    #[schema(example = "Stripe")]
    provider: &'static str,
    /// What moved the money: `Payment`, `Refund` or `Dispute`.
    #[schema(example = "Payment")]
    what: String,
    /// The provider's id of it.
    #[schema(example = "pi_3PqbXq2eZvKYlo2C")]
    reference: String,
    /// Whose it is, where it is one of ours.
    tenant_id: Option<String>,
    #[schema(example = "USD")]
    currency: String,
    /// How much is on record here, in minor units; `null`: nothing.
    ours_minor: Option<i64>,
    /// How much the provider says; `null`: it knows of nothing.
    theirs_minor: Option<i64>,
    begun_at: String,
    found_at: String,
    /// `Open`, `Matched` (it was the same on both sides later), `Repaired` or `Accepted`.
    #[schema(example = "Open")]
    state: String,
    /// Why it may stay.
    reason: Option<String>,
}

impl From<Difference> for DifferenceBody {
    fn from(found: Difference) -> Self {
        Self {
            id: found.id.to_string(),
            provider: found.provider.as_str(),
            what: found.what,
            reference: found.reference,
            tenant_id: found.tenant_id.map(|id| id.to_string()),
            currency: found.currency.to_string(),
            ours_minor: found.ours_minor,
            theirs_minor: found.theirs_minor,
            begun_at: found.begun_at.to_string(),
            found_at: found.found_at.to_string(),
            state: found.state,
            reason: found.reason,
        }
    }
}

/// Which differences are wanted.
#[derive(Deserialize, IntoParams)]
pub(crate) struct DifferencesQuery {
    /// `true`: those alone that nobody has ended.
    open: Option<bool>,
}

/// List differences with providers
///
/// The youngest first. Each provider is compared once a day.
#[utoipa::path(
    get,
    path = "/api/v1/admin/reconciliation/differences",
    tag = "Billing",
    params(
        DifferencesQuery,
        ("limit" = Option<u8>, Query),
        ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = List<DifferenceBody>)),
)]
pub(crate) async fn list_differences(
    State(app): State<OperatorApp>,
    query: Result<Query<DifferencesQuery>, QueryRejection>,
    PageQuery(page): PageQuery,
) -> Result<Json<List<DifferenceBody>>, Problem> {
    let Query(query) = query.map_err(|_| malformed_query())?;
    let mut tx = app.store.control().await?;

    let rows = reconciliation::list(&mut tx, query.open.unwrap_or(false), page).await?;

    Ok(Json(List::of(rows, DifferenceBody::from)))
}

/// Repair a difference
///
/// The books follow the provider, by balanced entries: what is on record nowhere is settled as if it had been told of; what
/// was more than is on record goes to the tenant's credit, and what is not there is a loss. A job does it.
#[utoipa::path(
    post,
    path = "/api/v1/admin/reconciliation/differences/{difference_id}/repair",
    tag = "Billing",
    params(("difference_id" = String, Path)),
    responses((status = 202, body = DifferenceBody)),
    extensions(("x-problems" = json!(["not-found", "conflict"]))),
)]
pub(crate) async fn repair_difference(
    State(app): State<OperatorApp>,
    operator: Operator,
    PathId(id): PathId<DifferenceId>,
) -> Result<(StatusCode, Json<DifferenceBody>), Problem> {
    let mut tx = app.store.control().await?;
    let found = reconciliation::get(&mut tx, id).await?;
    if found.state != "Open" {
        return Err(ended(&found));
    }
    if found.tenant_id.is_none() {
        let detail = "It is of no tenant here; find out what it is, and accept it with the reason.";
        return Err(Problem::new(ProblemKind::Conflict, detail));
    }

    enqueue(&mut tx, &Payments::Repair { difference_id: id }, Options::default()).await?;
    let event = operator.event(&app, "difference.repaired", details(&found));
    operator_events::record(&mut tx, &event).await?;

    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(found.into())))
}

/// Why a difference may stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptDifference {
    #[schema(example = "A charge of our old shop on the same account")]
    reason: String,
}

impl Wire for AcceptDifference {
    type Parsed = String;

    fn parse(self) -> Result<String, Faults> {
        let mut faults = Faults::new();
        let reason = self.reason.trim().to_owned();
        let long = reason.chars().count() > REASON_CHARS_MAX;
        if reason.is_empty() || long || reason.chars().any(char::is_control) {
            let fault = format!("must be one line of 1 to {REASON_CHARS_MAX} characters");
            faults.push("/reason", fault);
        }
        faults.finish(Some(reason))
    }
}

/// Accept a difference
///
/// Nothing is booked; it is not shown as open any more.
#[utoipa::path(
    post,
    path = "/api/v1/admin/reconciliation/differences/{difference_id}/accept",
    tag = "Billing",
    params(("difference_id" = String, Path)),
    request_body = AcceptDifference,
    responses((status = 200, body = DifferenceBody)),
    extensions(("x-problems" = json!(["not-found", "conflict"]))),
)]
pub(crate) async fn accept_difference(
    State(app): State<OperatorApp>,
    operator: Operator,
    PathId(id): PathId<DifferenceId>,
    body: Body<AcceptDifference>,
) -> Result<Json<DifferenceBody>, Problem> {
    let mut tx = app.store.control().await?;
    let found = reconciliation::get(&mut tx, id).await?;

    if !reconciliation::end(&mut tx, id, Ending::Accepted(&body.value), app.now()).await? {
        return Err(ended(&found));
    }
    let event = operator.event(&app, "difference.accepted", details(&found));
    operator_events::record(&mut tx, &event).await?;
    let found = reconciliation::get(&mut tx, id).await?;

    tx.commit().await?;
    Ok(Json(found.into()))
}

fn details(found: &Difference) -> serde_json::Value {
    json!({
        "difference": found.id.to_string(), "provider": found.provider, "what": found.what,
        "reference": found.reference, "ours_minor": found.ours_minor, "theirs_minor": found.theirs_minor,
    })
}

fn ended(found: &Difference) -> Problem {
    let detail = format!("The difference is {} already.", found.state.to_lowercase());
    Problem::new(ProblemKind::Conflict, detail)
}
