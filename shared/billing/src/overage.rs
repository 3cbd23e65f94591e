//! Use past what a plan includes: allowed or not, and for how much.

use std::collections::BTreeMap;

use domain::meter::MeterName;
use domain::plan::BillingCycle;

use crate::charge::ChargeError;
use crate::subscription::Offer;

/// The quotas of an offer's meters in place of the plan's; a meter that is not named keeps the plan's. `None`: no
/// quota. With a cap, the quota is what it affords, so that edges stop where the bill does.
///
/// Pay-as-you-go has nothing to go past: all of it is paid for.
///
/// # Errors
/// When an amount is out of range.
pub fn quotas(
    offer: &Offer,
    allowed: bool,
    cap_minor: Option<i64>,
) -> Result<BTreeMap<MeterName, Option<u64>>, ChargeError> {
    let mut quotas = BTreeMap::new();
    if !allowed && offer.cycle != BillingCycle::PayAsYouGo {
        return Ok(quotas);
    }
    for charge in &offer.charges {
        let quota = match cap_minor.map(|cap| charge.affordable(cap, offer.currency)) {
            // What is paid in any case buys what is included, and no more.
            Some(Err(ChargeError::CapBelowMinimum { .. })) => Some(charge.included),
            Some(other) => other?,
            None => None,
        };
        quotas.insert(charge.meter.clone(), quota);
    }
    Ok(quotas)
}
