//! The public price list.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use billing::Charge;
use domain::money::{Currency, Money};
use serde::Serialize;
use serde_json::Value;
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
    /// What is paid for use, after each period, by billing cycle. Beyond the plan's counts only where the tenant allows it.
    charges: BTreeMap<&'static str, Vec<ChargeBody>>,
}

/// What the use of a meter costs.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChargeBody {
    #[schema(example = "messages")]
    meter: String,
    #[schema(example = "USD")]
    currency: String,
    /// Units that cost nothing, each period.
    #[schema(example = 10_000)]
    included: u64,
    /// What those beyond them cost, in the currency's unit: `model` is `per_unit`, `graduated`, `volume` or `package`.
    #[schema(value_type = Object, example = json!({"model": "per_unit", "unit": "0.0047"}))]
    price: Value,
    /// The least that a period costs.
    minimum: MoneyBody,
}

impl ChargeBody {
    pub(crate) fn new(charge: &Charge, currency: Currency) -> Self {
        Self {
            meter: charge.meter.to_string(),
            currency: currency.to_string(),
            included: charge.included,
            price: serde_json::to_value(&charge.model).unwrap_or_default(),
            minimum: Money { amount_minor: charge.minimum_minor.max(0), currency }.into(),
        }
    }
}

impl PlanBody {
    fn new(plan: &PlanVersion) -> Self {
        let prices = plan.terms.prices.keys().map(|cycle| {
            let prices = plan.terms.prices_of(*cycle).map(MoneyBody::from).collect();
            (cycle.as_str(), prices)
        });
        let charges = plan.terms.charges.iter().map(|(cycle, by_currency)| {
            let charges = by_currency.iter().flat_map(|(currency, charges)| {
                charges.iter().map(|charge| ChargeBody::new(charge, *currency))
            });
            (cycle.as_str(), charges.collect())
        });
        Self {
            name: plan.plan.as_str(),
            version: plan.version,
            trial_days: plan.terms.trial_days,
            limits: plan.terms.limits.into(),
            prices: prices.collect(),
            charges: charges.collect(),
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
