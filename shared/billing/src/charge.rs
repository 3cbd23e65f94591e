//! What usage costs: a meter's quantity of a whole period through what is included and the price's tiers to one
//! amount, summed exactly and rounded once (§2.7). Nothing here knows where a quantity comes from.

mod explain;
#[cfg(test)]
mod tests;
mod tiers;

use std::num::NonZeroU64;

use domain::meter::MeterName;
use domain::money::{Currency, Money};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::rate::Rate;
use crate::rounding::{OutOfRange, round};

pub(crate) use explain::{counted, grouped};
pub use tiers::{Tier, Tiers, TiersError};

/// How units become an amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "snake_case", deny_unknown_fields)]
pub enum Model {
    /// Each unit at one price.
    PerUnit {
        /// The price of a unit.
        unit: Rate,
    },
    /// Each tier's units at its price: "the first 10 000 free, the next at 0.005".
    Graduated {
        /// The tiers; they count from what is included.
        tiers: Tiers,
    },
    /// All units at the price of the tier that their number falls in. One unit more may make it cheaper.
    Volume {
        /// The tiers; they count from what is included.
        tiers: Tiers,
    },
    /// Each package at one price, the last one whole however little of it is used.
    Package {
        /// Units in a package.
        size: NonZeroU64,
        /// The price of a package.
        price: Rate,
    },
}

/// What one meter costs in one currency, in one plan and cycle. In TOML:
/// `{ meter = "messages", included = 100_000, model = "per_unit", unit = "0.0008", minimum_minor = 0 }`.
// `deny_unknown_fields` of the model sees all fields that are not these, so unknown ones are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// What is counted.
    pub meter: MeterName,
    /// Units free of charge each period.
    #[serde(default)]
    pub included: u64,
    /// What those beyond them cost.
    #[serde(flatten)]
    pub model: Model,
    /// Least amount of a period, minor units; charged even without use. Never negative when read; one that is has no
    /// effect.
    #[serde(default, deserialize_with = "not_negative")]
    pub minimum_minor: i64,
}

/// Why a quantity has no amount, or an amount no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChargeError {
    /// The amount is beyond 64 bits of minor units.
    #[error(
        "the usage costs more than can be billed; check its quantity and the prices of its meter"
    )]
    OutOfRange(#[from] OutOfRange),
    /// Even no use costs more than the cap.
    #[error(
        "the cap is below the minimum of {minimum}, which is charged without any use; raise the cap to it"
    )]
    CapBelowMinimum {
        /// The least cap.
        minimum: Money,
    },
}

/// What a quantity costs, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rated {
    /// The amount, minor units; at least zero.
    pub amount_minor: i64,
    /// Units beyond what is included.
    pub billable: u64,
    /// The terms of the sum; none without billable units.
    pub steps: Vec<Step>,
    /// The minimum, where the amount is this and not the sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Money>,
}

/// One term of the sum: `quantity × unit + flat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// How many units, or packages.
    pub quantity: u64,
    /// The price of one of them.
    pub unit: Rate,
    /// What the tier costs besides.
    #[serde(default, skip_serializing_if = "Rate::is_zero")]
    pub flat: Rate,
    /// Units in a package, where packages are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<NonZeroU64>,
}

impl Charge {
    /// What `quantity`, that of a whole period, costs: usage → included → tiers; summed exactly, rounded once; at
    /// least the minimum (§2.7).
    ///
    /// # Errors
    /// When the amount is beyond 64 bits of minor units.
    pub fn rate(&self, quantity: u64, currency: Currency) -> Result<Rated, ChargeError> {
        let billable = quantity.saturating_sub(self.included);
        let steps = self.model.steps(billable);
        let sum = steps.iter().try_fold(0_i128, |sum, step| {
            let cost = step.unit.times(step.quantity)?.checked_add(step.flat.times(1)?);
            cost.and_then(|cost| sum.checked_add(cost)).ok_or(OutOfRange)
        })?;
        let sum_minor = round(sum, exact_per_minor(currency)?)?;
        let amount_minor = sum_minor.max(self.minimum_minor);
        let minimum = (amount_minor > sum_minor).then_some(Money { amount_minor, currency });
        Ok(Rated { amount_minor, billable, steps, minimum })
    }

    /// The greatest quantity of which it and every smaller one costs at most `cap_minor`, as [`Self::rate`] would
    /// bill it; `None` when no quantity costs more. So a spending cap is a quota, which the edge enforces exactly.
    ///
    /// # Errors
    /// When even no use costs more than the cap, for the minimum or because the cap is negative.
    pub fn affordable(
        &self,
        cap_minor: i64,
        currency: Currency,
    ) -> Result<Option<u64>, ChargeError> {
        let least = self.rate(0, currency)?.amount_minor;
        if least > cap_minor {
            let minimum = Money { amount_minor: least, currency };
            return Err(ChargeError::CapBelowMinimum { minimum });
        }
        // What cannot be billed costs more than any cap.
        let fits = |quantity| {
            self.rate(quantity, currency).is_ok_and(|rated| rated.amount_minor <= cap_minor)
        };
        let mut affordable = 0;
        for bound in self.model.bounds() {
            let bound = self.included.saturating_add(bound);
            let found = last_that(affordable, bound, fits);
            if found < bound {
                return Ok(Some(found));
            }
            affordable = bound;
        }
        Ok(None)
    }
}

/// What is to be paid, minor units, when the usage of a closed period was billed as `billed` and is now known to be
/// `total`: the difference of two rounded amounts, so that any number of late batches adds up to what one bill would
/// have been. Negative where more costs less (volume tiers) or usage was taken back. `charge` is that of the old
/// period (§2.15).
///
/// # Errors
/// When an amount is beyond 64 bits of minor units.
pub fn late(
    charge: &Charge,
    billed: u64,
    total: u64,
    currency: Currency,
) -> Result<i64, ChargeError> {
    let billed_minor = charge.rate(billed, currency)?.amount_minor;
    let total_minor = charge.rate(total, currency)?.amount_minor;
    Ok(total_minor.checked_sub(billed_minor).ok_or(OutOfRange)?)
}

impl Model {
    /// The terms that `billable` units come to. No unit reaches no tier and starts no package.
    fn steps(&self, billable: u64) -> Vec<Step> {
        if billable == 0 {
            return Vec::new();
        }
        match self {
            Self::PerUnit { unit } => vec![Step::plain(billable, *unit)],
            Self::Graduated { tiers } => graduated(tiers, billable),
            Self::Volume { tiers } => {
                tiers.of(billable).map(|tier| Step::of_tier(billable, tier)).into_iter().collect()
            }
            Self::Package { size, price } => {
                let packages = billable.div_ceil(size.get());
                vec![Step { package: Some(*size), ..Step::plain(packages, *price) }]
            }
        }
    }

    /// The ascending bounds, to the last quantity there is, between which more billable units never cost less.
    fn bounds(&self) -> Vec<u64> {
        match self {
            Self::PerUnit { .. } | Self::Package { .. } => vec![u64::MAX],
            Self::Graduated { tiers } | Self::Volume { tiers } => {
                tiers.iter().map(|tier| tier.up_to.unwrap_or(u64::MAX)).collect()
            }
        }
    }
}

impl Step {
    const fn plain(quantity: u64, unit: Rate) -> Self {
        Self { quantity, unit, flat: Rate::ZERO, package: None }
    }

    const fn of_tier(quantity: u64, tier: Tier) -> Self {
        Self { quantity, unit: tier.unit, flat: tier.flat, package: None }
    }
}

fn graduated(tiers: &Tiers, billable: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut below = 0;
    for tier in tiers.iter() {
        let end = tier.up_to.unwrap_or(u64::MAX).min(billable);
        steps.push(Step::of_tier(end.saturating_sub(below), tier));
        if end == billable {
            break;
        }
        below = end;
    }
    steps
}

/// How many of the steps of 10^-12 that are summed make a minor unit.
fn exact_per_minor(currency: Currency) -> Result<i128, OutOfRange> {
    let digits = Rate::DECIMALS_MAX.checked_sub(currency.minor_digits()).ok_or(OutOfRange)?;
    10_i128.checked_pow(digits).ok_or(OutOfRange)
}

/// The last of `first..=end` that `holds`, where it holds for `first` and, once it does not, for none after.
fn last_that(first: u64, end: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut good, mut end) = (first, end);
    while good < end {
        // Between `good` and `end`, rounded up, so that each turn comes nearer.
        let middle = end - (end - good) / 2;
        if holds(middle) {
            good = middle;
        } else {
            end = middle - 1;
        }
    }
    good
}

fn not_negative<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let amount = i64::deserialize(deserializer)?;
    if amount < 0 {
        return Err(D::Error::custom(
            "`minimum_minor` must not be negative; leave it out for none",
        ));
    }
    Ok(amount)
}
