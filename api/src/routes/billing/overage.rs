//! Use past what the plan includes: whether it is allowed, and what it may cost.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use billing::Offer;
use domain::event::Action;
use domain::faults::Faults;
use domain::money::Money;
use domain::problem::ProblemKind;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::billing::{account, turn};
use store::subscriptions::{self, Running};
use utoipa::ToSchema;

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::extract::{Body, Wire};
use crate::problem::Problem;
use crate::routes::plans::ChargeBody;
use crate::routes::{MoneyBody, MoneyInput};

/// Use past what the plan includes.
#[derive(Serialize, ToSchema)]
pub(crate) struct OverageBody {
    /// Whether use goes on past what the plan includes.
    allowed: bool,
    /// What use may cost in a period; `null`: no bound.
    spending_cap: Option<MoneyBody>,
    /// What it costs; nothing where the plan charges for no use, and stops at its counts.
    charges: Vec<ChargeBody>,
    /// Where meters stop by these settings, in place of the plan's counts: what the cap affords; `null`: nowhere.
    quotas: BTreeMap<String, Option<u64>>,
}

impl OverageBody {
    pub(super) fn new(running: &Running, offer: Option<&Offer>) -> Result<Self, Problem> {
        let (allowed, cap_minor) = (running.overage_allowed, running.spending_cap_minor);
        let currency = running.currency;
        let quotas = match offer {
            Some(offer) => turn::overage(offer, allowed, cap_minor)?.quotas,
            None => BTreeMap::new(),
        };
        let charges = offer.into_iter().flat_map(|offer| &offer.charges);
        Ok(Self {
            allowed,
            spending_cap: cap_minor.map(|amount_minor| Money { amount_minor, currency }.into()),
            charges: charges.map(|charge| ChargeBody::new(charge, currency)).collect(),
            quotas,
        })
    }
}

/// Show overage settings
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/billing/overage",
    tag = "Billing",
    params(("tenant_id" = String, Path)),
    responses((status = 200, body = OverageBody)),
    extensions(("x-permission" = json!("ViewBilling"))),
)]
pub(crate) async fn show(
    State(app): State<App>,
    auth: Authorized<needs::ViewBilling>,
) -> Result<Json<OverageBody>, Problem> {
    let mut tx = auth.begin(&app).await?;

    let running = subscriptions::get(&mut tx).await?;
    let plan = app.books.version(&mut tx, running.plan, running.plan_version).await?;

    let offer = plan.offer(running.cycle, running.currency);
    Ok(Json(OverageBody::new(&running, offer.as_ref())?))
}

/// What use past what the plan includes may cost.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetOverage {
    /// Whether it is allowed. Pay-as-you-go needs no leave.
    allowed: bool,
    /// What use may cost in a period, in the subscription's currency; no bound when left out.
    spending_cap: Option<MoneyInput>,
}

/// A checked [`SetOverage`].
pub(crate) struct NewOverage {
    allowed: bool,
    spending_cap: Option<Money>,
}

impl Wire for SetOverage {
    type Parsed = NewOverage;

    fn parse(self) -> Result<NewOverage, Faults> {
        let mut faults = Faults::new();
        let cap = self.spending_cap;
        let spending_cap = cap.and_then(|cap| cap.parse(&mut faults, "/spending_cap", 0));
        faults.finish(Some(NewOverage { allowed: self.allowed, spending_cap }))
    }
}

/// Set overage
///
/// Edges stop at what the cap affords within moments. A cap of nothing stops at what the plan includes.
#[utoipa::path(
    put,
    path = "/api/v1/tenants/{tenant_id}/billing/overage",
    tag = "Billing",
    params(("tenant_id" = String, Path)),
    request_body = SetOverage,
    responses((status = 200, body = OverageBody)),
    extensions(("x-permission" = json!("ManageBilling")), ("x-problems" = json!(["conflict"]))),
)]
pub(crate) async fn put(
    State(app): State<App>,
    auth: Authorized<needs::ManageBilling>,
    body: Body<SetOverage>,
) -> Result<Json<OverageBody>, Problem> {
    let NewOverage { allowed, spending_cap } = body.value;
    let mut tx = auth.begin(&app).await?;
    let loaded = account::load(&mut tx, &app.books, false).await?;
    let currency = loaded.running.currency;
    if spending_cap.is_some_and(|cap| cap.currency != currency) {
        let mut faults = Faults::new();
        faults.push("/spending_cap/currency", format!("must be the subscription's, `{currency}`"));
        return Err(faults.into());
    }
    if allowed && loaded.offer.charges.is_empty() {
        let detail =
            "The plan charges for no use, so it stops at its counts; change to one that does.";
        return Err(Problem::new(ProblemKind::Conflict, detail));
    }
    let cap_minor = spending_cap.map(|cap| cap.amount_minor);
    let overage = turn::overage(&loaded.offer, allowed, cap_minor)?;

    let id = loaded.running.id;
    subscriptions::set_overage(&mut tx, id, &overage).await?;
    let changes = json!({
        "before": {
            "allowed": loaded.running.overage_allowed,
            "spending_cap_minor": loaded.running.spending_cap_minor,
        },
        "after": { "allowed": allowed, "spending_cap_minor": cap_minor },
    });
    auth.caller.audit(&app, &mut tx, Action::OverageSet, id, changes).await?;

    let after = subscriptions::get(&mut tx).await?;
    auth.caller.commit(tx).await?;
    Ok(Json(OverageBody::new(&after, Some(&loaded.offer))?))
}
