//! What a count costs: each tier's own units cut out, in 10^-12 of the currency's unit.

use anyhow::{Context, Result};
use billing::{Charge, Model, Rate, Tiers};
use domain::money::Currency;

use super::exact::Exact;

/// What `quantity` costs, exactly; rounded it is what the bill says.
pub(super) fn cost(charge: &Charge, quantity: u64, currency: Currency) -> Result<Exact> {
    let beyond = i128::from(quantity.saturating_sub(charge.included));
    let sum = match &charge.model {
        Model::PerUnit { unit } => price(*unit)? * beyond,
        Model::Package { size, price: of_package } => {
            let size = i128::from(size.get());
            price(*of_package)? * ((beyond + size - 1) / size)
        }
        Model::Graduated { tiers } => graduated(tiers, beyond)?,
        Model::Volume { tiers } => volume(tiers, beyond)?,
    };
    let minor = 10_i128.checked_pow(currency.minor_digits()).context("too fine")?;
    let sum = Exact::of(sum, 1_000_000_000_000)?.times(minor, 1)?;
    sum.most(Exact::whole(charge.minimum_minor))
}

/// The amount that the bill of `quantity` comes to, however many invoices it is on.
pub(in crate::billing_world) fn came_to(
    charge: &Charge,
    quantity: u64,
    currency: Currency,
) -> Result<i64> {
    cost(charge, quantity, currency)?.nearest()
}

fn price(rate: Rate) -> Result<i128> {
    Ok(rate.times(1)?)
}

fn graduated(tiers: &Tiers, beyond: i128) -> Result<i128> {
    let (mut sum, mut below) = (0, 0);
    for tier in tiers.iter() {
        let bound = tier.up_to.map_or(i128::MAX, i128::from);
        let within = (beyond.min(bound) - below).max(0);
        sum += within * price(tier.unit)?;
        if within > 0 {
            sum += price(tier.flat)?;
        }
        below = bound;
    }
    Ok(sum)
}

fn volume(tiers: &Tiers, beyond: i128) -> Result<i128> {
    // The last tier whose bound before it is passed.
    let (mut sum, mut below) = (0, 0);
    for tier in tiers.iter() {
        if beyond > below {
            sum = beyond * price(tier.unit)? + price(tier.flat)?;
        }
        below = tier.up_to.map_or(i128::MAX, i128::from);
    }
    Ok(sum)
}
