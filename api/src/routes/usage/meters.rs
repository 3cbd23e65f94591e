//! Each meter of the catalogue: what was used of it in the running period, and what the plan allows.

use std::collections::BTreeMap;

use domain::meter::{Aggregation, MeterName, MeterSource};
use domain::plan::BillingCycle;
use serde::Serialize;
use store::catalogue::{MeterTerms, PlanTerms};
use utoipa::ToSchema;

/// One meter.
#[derive(PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct MeterBody {
    #[schema(example = "messages")]
    meter: String,
    #[schema(example = "Messages sent")]
    title: String,
    #[schema(example = "message")]
    unit: String,
    /// How counts become the figure: `sum`, `count`, `max`, `latest` or `unique`.
    #[schema(example = "sum")]
    aggregation: &'static str,
    /// Who counts: `edge`, `events`, `webhooks` or `derived`.
    #[schema(example = "edge")]
    source: &'static str,
    /// What has been used in the period; of a level, such as storage, the latest that was told. `null`: nobody has
    /// told it yet.
    #[schema(example = 300)]
    used: Option<u64>,
    /// What the plan allows; `null` is unlimited.
    #[schema(example = 1000)]
    limit: Option<u64>,
    /// What is left; `null` where it is unlimited or not known.
    #[schema(example = 700)]
    remaining: Option<u64>,
}

/// What there is more of than a plan allows.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct OverLimitBody {
    /// A meter that is a level, such as `users` or `contacts`.
    #[schema(example = "users")]
    pub(crate) limit: String,
    /// How much there is.
    #[schema(example = 8)]
    pub(crate) used: u64,
    /// How much the plan allows.
    #[schema(example = 5)]
    pub(crate) allowed: u64,
}

impl MeterBody {
    /// What of a level is past its limit, if it is.
    pub(super) fn over_limit(self) -> Option<OverLimitBody> {
        let (used, allowed) = self.used.zip(self.limit)?;
        let over = self.aggregation == Aggregation::Latest.as_str() && used > allowed;
        over.then_some(OverLimitBody { limit: self.meter, used, allowed })
    }
}

/// What the database itself says of use.
pub(super) struct Derived {
    /// Members and invited people.
    pub(super) seats: u64,
    /// Webhook endpoints.
    pub(super) webhook_endpoints: u64,
}

/// All meters, by name, after what was counted in the period (`totals`) and what the database itself says.
pub(super) fn bodies(
    meters: Vec<(MeterName, MeterTerms)>,
    totals: &BTreeMap<String, u64>,
    derived: &Derived,
    plan: &PlanTerms,
    cycle: BillingCycle,
) -> Vec<MeterBody> {
    let body = |(name, terms): (MeterName, MeterTerms)| {
        let used = match (terms.source, terms.aggregation, name.as_str()) {
            (MeterSource::Derived, _, "users") => Some(derived.seats),
            (MeterSource::Derived, _, "webhook_endpoints") => Some(derived.webhook_endpoints),
            (MeterSource::Derived, ..) => None,
            // A level that nobody has told is not zero.
            (_, Aggregation::Latest, name) => totals.get(name).copied(),
            (_, _, name) => Some(totals.get(name).copied().unwrap_or(0)),
        };
        let limit = plan.allowance(&name, cycle).bound();
        MeterBody {
            remaining: used.zip(limit).map(|(used, limit)| limit.saturating_sub(used)),
            meter: name.to_string(),
            title: terms.title,
            unit: terms.unit,
            aggregation: terms.aggregation.as_str(),
            source: terms.source.as_str(),
            used,
            limit,
        }
    };
    meters.into_iter().map(body).collect()
}
