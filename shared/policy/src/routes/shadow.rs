//! Limits in shadow: they are counted, but nobody is denied by them, so that a limit can be watched before it
//! is enforced.

use std::collections::BTreeSet;

use domain::meter::MeterName;

/// The names of limits that are not a meter's; no meter may bear one.
pub(super) const FIXED_NAMES: [&str; 4] = ["plan", "key", "address", "concurrency"];

/// Which limits are in shadow, on whatever route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shadow {
    /// Calls a minute, by the plan.
    pub plan: bool,
    /// Calls a minute, by the key.
    pub key: bool,
    /// Calls a minute, by the address.
    pub address: bool,
    /// Calls in progress.
    pub concurrency: bool,
    meters: BTreeSet<MeterName>,
}

impl Shadow {
    /// Whether the count of `meter` denies nobody.
    #[must_use]
    pub fn has_meter(&self, meter: &MeterName) -> bool {
        self.meters.contains(meter)
    }

    /// Puts the limit called `name` in shadow. False when there is none, `meters` being those of the table: a
    /// misspelt name would leave a limit in force that was meant to be watched.
    pub(super) fn add(&mut self, name: &str, meters: &BTreeSet<MeterName>) -> bool {
        match name {
            "plan" => self.plan = true,
            "key" => self.key = true,
            "address" => self.address = true,
            "concurrency" => self.concurrency = true,
            _ => {
                let Some(meter) = meters.get(name) else { return false };
                self.meters.insert(meter.clone());
            }
        }
        true
    }
}
