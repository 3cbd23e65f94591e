//! What is on offer: every plan in every cycle and in three currencies, some with charges of each model; and prices
//! that rise, for those who come later.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use anyhow::{Context, Result};
use billing::{Charge, Model, Offer, Tier, Tiers};
use domain::meter::MeterName;
use domain::money::Currency;
use domain::plan::{BillingCycle, PlanName};

/// The meters, by their places.
pub(super) const METERS: [&str; 4] = ["messages", "api_calls", "storage_mb", "automation_runs"];

/// Counts by meter.
pub(super) type Counts = [u64; METERS.len()];

pub(super) const CURRENCIES: [&str; 3] = ["USD", "EUR", "JPY"];

/// An offer, by its place in the catalogue.
pub(super) type OfferPlace = usize;

/// Every offer there ever was, and which are the newest.
#[derive(Debug, Clone)]
pub(super) struct Catalogue {
    offers: Vec<Offer>,
    newest: BTreeMap<(PlanName, BillingCycle, Currency), OfferPlace>,
}

impl Catalogue {
    pub(super) fn new() -> Result<Self> {
        let mut catalogue = Self { offers: Vec::new(), newest: BTreeMap::new() };
        for currency in CURRENCIES {
            let currency: Currency = currency.parse()?;
            for plan in PlanName::ALL.iter().copied() {
                for cycle in BillingCycle::ALL.iter().copied() {
                    let free_otherwise = plan == PlanName::Free && cycle != BillingCycle::Monthly;
                    if !free_otherwise {
                        catalogue.publish(offer(plan, cycle, currency)?);
                    }
                }
            }
        }
        Ok(catalogue)
    }

    fn publish(&mut self, offer: Offer) {
        let key = (offer.plan, offer.cycle, offer.currency);
        self.newest.insert(key, self.offers.len());
        self.offers.push(offer);
    }

    /// Every fee rises by `per_cent`, for those who come later.
    pub(super) fn raise(&mut self, per_cent: i64) {
        let newest: Vec<Offer> =
            self.newest.values().filter_map(|place| self.offers.get(*place)).cloned().collect();
        for offer in newest {
            let version = offer.version + 1;
            let fee_minor = offer.fee_minor + offer.fee_minor * per_cent / 100;
            self.publish(Offer { version, fee_minor, ..offer });
        }
    }

    pub(super) fn offer(&self, place: OfferPlace) -> Result<&Offer> {
        self.offers.get(place).context("no such offer")
    }

    /// The newest of a plan. There is one free plan, by the month.
    pub(super) fn newest(
        &self,
        plan: PlanName,
        cycle: BillingCycle,
        currency: Currency,
    ) -> Result<OfferPlace> {
        let cycle = if plan == PlanName::Free { BillingCycle::Monthly } else { cycle };
        self.newest.get(&(plan, cycle, currency)).copied().context("no such plan")
    }
}

fn offer(plan: PlanName, cycle: BillingCycle, currency: Currency) -> Result<Offer> {
    let by_month = match (plan, currency.as_str()) {
        (PlanName::Free, _) => 0,
        (PlanName::Starter, "EUR") => 2_790,
        (PlanName::Starter, "JPY") => 4_400,
        (PlanName::Starter, _) => 2_900,
        (PlanName::Pro, "EUR") => 9_490,
        (PlanName::Pro, "JPY") => 14_900,
        (PlanName::Pro, _) => 9_900,
        (PlanName::Enterprise, "EUR") => 28_900,
        (PlanName::Enterprise, "JPY") => 44_903,
        (PlanName::Enterprise, _) => 29_900,
    };
    let fee_minor = match cycle {
        BillingCycle::Monthly => by_month,
        BillingCycle::Yearly => by_month * 10,
        BillingCycle::PayAsYouGo => 0,
    };
    let charges = charges(plan, cycle, if currency.minor_digits() == 0 { 100 } else { 1 })?;
    Ok(Offer { plan, version: 1, cycle, currency, fee_minor, charges })
}

/// One charge of each model, more of them the dearer the plan. `unit` is what a dollar's price is multiplied by.
fn charges(plan: PlanName, cycle: BillingCycle, unit: u64) -> Result<Vec<Charge>> {
    let per_use = cycle == BillingCycle::PayAsYouGo;
    let included = |count| if per_use { 0 } else { count };
    let messages = Model::PerUnit { unit: price(unit, 47)? };
    let calls = Model::Graduated {
        tiers: tiers(&[
            (Some(1_000), 0, 0),
            (Some(5_000), price_of(unit, 50), 0),
            (None, price_of(unit, 40), 0),
        ])?,
    };
    let storage = Model::Volume {
        tiers: tiers(&[
            (Some(500), price_of(unit, 200), 0),
            (Some(2_000), price_of(unit, 150), price_of(unit, 20_000)),
            (None, price_of(unit, 90), 0),
        ])?,
    };
    let size = NonZeroU64::new(100).context("a package of none")?;
    let runs = Model::Package { size, price: price(unit, 25_000)? };
    let charge = |place: usize, included, model, minimum_minor| -> Result<Charge> {
        let name = METERS.get(place).context("no such meter")?;
        Ok(Charge { meter: name.parse::<MeterName>()?, included, model, minimum_minor })
    };
    let minimum = if per_use { 500 } else { 0 };
    Ok(match plan {
        PlanName::Free => Vec::new(),
        PlanName::Starter if !per_use => Vec::new(),
        PlanName::Starter => {
            vec![charge(0, 100, messages, 0)?, charge(3, 0, runs, 0)?]
        }
        PlanName::Pro => {
            vec![charge(0, included(2_000), messages, minimum)?, charge(1, 0, calls, 0)?]
        }
        PlanName::Enterprise => vec![
            charge(0, included(8_000), messages, 0)?,
            charge(1, included(1_000), calls, 0)?,
            charge(2, 0, storage, minimum)?,
            charge(3, included(50), runs, 0)?,
        ],
    })
}

/// Ten-thousandths of a dollar, in a currency of which a dollar has `unit`.
const fn price_of(unit: u64, ten_thousandths: u64) -> u64 {
    unit * ten_thousandths
}

fn price(unit: u64, ten_thousandths: u64) -> Result<billing::Rate> {
    rate(price_of(unit, ten_thousandths))
}

fn rate(ten_thousandths: u64) -> Result<billing::Rate> {
    let (whole, rest) = (ten_thousandths / 10_000, ten_thousandths % 10_000);
    Ok(format!("{whole}.{rest:04}").parse()?)
}

fn tiers(rows: &[(Option<u64>, u64, u64)]) -> Result<Tiers> {
    let tier = |(up_to, unit, flat): &(Option<u64>, u64, u64)| -> Result<Tier> {
        Ok(Tier { up_to: *up_to, unit: rate(*unit)?, flat: rate(*flat)? })
    };
    let tiers = rows.iter().map(tier).collect::<Result<Vec<_>>>()?;
    Ok(tiers.try_into()?)
}
