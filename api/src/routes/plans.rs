//! The public price list.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use store::catalogue::{self, PlanVersion};
use utoipa::ToSchema;

use crate::app::App;
use crate::authorized::Anyone;
use crate::problem::Problem;
use crate::routes::{LimitsBody, MoneyBody};

/// A plan.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanBody {
    #[schema(example = "Pro")]
    name: &'static str,
    version: i32,
    /// Days of the trial that sign-up starts.
    #[schema(example = 14)]
    trial_days: u16,
    limits: LimitsBody,
    /// Prices by billing cycle.
    prices: BTreeMap<&'static str, Vec<MoneyBody>>,
}

impl PlanBody {
    fn new(plan: &PlanVersion) -> Self {
        let prices = plan.terms.prices.keys().map(|cycle| {
            let prices = plan.terms.prices_of(*cycle).map(MoneyBody::from).collect();
            (cycle.as_str(), prices)
        });
        Self {
            name: plan.plan.as_str(),
            version: plan.version,
            trial_days: plan.terms.trial_days,
            limits: plan.terms.limits.into(),
            prices: prices.collect(),
        }
    }
}

/// Every plan, cheapest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct PriceList {
    data: Vec<PlanBody>,
}

/// List plans
#[utoipa::path(
    get,
    path = "/api/v1/plans",
    tag = "Billing",
    responses((status = 200, body = PriceList)),
    security(()),
)]
pub(crate) async fn list(
    State(app): State<App>,
    _caller: Anyone,
) -> Result<Json<PriceList>, Problem> {
    let mut tx = app.store.control().await?;

    let plans = catalogue::list(&mut tx).await?;

    Ok(Json(PriceList { data: plans.iter().map(PlanBody::new).collect() }))
}
