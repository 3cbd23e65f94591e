//! What a tenant used, as it was told; and what of it was billed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use billing::{LateCap, LateUse, Offer, Used};
use domain::period::Period;
use jiff::{SignedDuration, Timestamp};

use super::catalogue::{Catalogue, Counts, METERS, OfferPlace};

/// What came so much later than it happened is refused (§2.15).
const LATE_WINDOW: SignedDuration = SignedDuration::from_hours(35 * 24);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Event {
    at: Timestamp,
    meter: usize,
    quantity: u64,
}

/// A period whose use was billed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Billed {
    pub(super) period: Period,
    /// By these terms.
    pub(super) offer: OfferPlace,
    pub(super) counts: Counts,
    /// What it came to by now, by meter.
    pub(super) amounts_minor: [i64; METERS.len()],
    /// The cap that held, and what was beyond it.
    pub(super) cap_minor: Option<i64>,
    pub(super) beyond_minor: i64,
}

impl Billed {
    fn cap(&self, offer: &Offer) -> Result<Option<LateCap>> {
        let Some(cap_minor) = self.cap_minor else { return Ok(None) };
        let mut billed_minor = 0;
        for (used, _) in used(offer, &self.counts) {
            billed_minor += used.charge.rate(used.quantity, offer.currency)?.amount_minor;
        }
        Ok(Some(LateCap { cap_minor, billed_minor }))
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Metered {
    events: Vec<Event>,
    /// By the period's start.
    pub(super) billed: BTreeMap<Timestamp, Billed>,
    /// The periods for which something came late.
    late: BTreeSet<Timestamp>,
    pub(super) accepted: Counts,
}

impl Metered {
    /// Takes a count that happened at `at` and came at `now`; refuses it when that was too long ago.
    pub(super) fn take(&mut self, meter: usize, quantity: u64, at: Timestamp, now: Timestamp) {
        let Some(accepted) = self.accepted.get_mut(meter) else { return };
        if now.duration_since(at) > LATE_WINDOW {
            return;
        }
        *accepted += quantity;
        self.events.push(Event { at, meter, quantity });
        let closed = self.billed.range(..=at).next_back();
        if let Some((start, _)) = closed.filter(|(_, billed)| billed.period.contains(at)) {
            self.late.insert(*start);
        }
    }

    /// All that was used in a period, as it is known now.
    pub(super) fn counted(&self, period: Period) -> Counts {
        let mut counts = Counts::default();
        for event in self.events.iter().filter(|event| period.contains(event.at)) {
            counts[event.meter] += event.quantity;
        }
        counts
    }

    /// What came late, for the next invoice.
    pub(super) fn late(&self, catalogue: &Catalogue) -> Result<Vec<LateUse>> {
        let mut late = Vec::new();
        for billed in self.late.iter().filter_map(|start| self.billed.get(start)) {
            let counts = self.counted(billed.period);
            let offer = catalogue.offer(billed.offer)?;
            let cap = billed.cap(offer)?;
            for (used, meter) in used(offer, &counts) {
                let before = billed.counts[meter];
                if used.quantity != before {
                    let (period, plan) = (billed.period, offer.plan);
                    late.push(LateUse { used, billed: before, period, plan, cap });
                }
            }
        }
        Ok(late)
    }

    /// The period's use was billed by the terms of `offer`, and so was what came late for others.
    pub(super) fn bill(
        &mut self,
        period: Option<Period>,
        offer: OfferPlace,
        cap_minor: Option<i64>,
    ) -> Result<()> {
        for start in std::mem::take(&mut self.late) {
            let Some(period) = self.billed.get(&start).map(|billed| billed.period) else {
                continue;
            };
            let counts = self.counted(period);
            if let Some(billed) = self.billed.get_mut(&start) {
                billed.counts = counts;
            }
        }
        let Some(period) = period else { return Ok(()) };
        let counts = self.counted(period);
        let amounts_minor = Default::default();
        let billed = Billed { period, offer, counts, amounts_minor, cap_minor, beyond_minor: 0 };
        let twice = self.billed.insert(period.start, billed);
        ensure!(twice.is_none(), "the use from {} on was billed twice", period.start);
        Ok(())
    }

    /// A line of an invoice billed so much for a period's use of a meter.
    pub(super) fn came_to(&mut self, start: Timestamp, meter: &str, amount_minor: i64) {
        let billed = self.billed.get_mut(&start);
        if let (Some(billed), Some(meter)) = (billed, place_of(meter)) {
            billed.amounts_minor[meter] += amount_minor;
        }
    }

    /// A line of an invoice took so much off for the cap.
    pub(super) fn goes_beyond(&mut self, start: Timestamp, amount_minor: i64) {
        if let Some(billed) = self.billed.get_mut(&start) {
            billed.beyond_minor -= amount_minor;
        }
    }

    /// Whether nothing came for it since it was billed.
    pub(super) fn is_settled(&self, billed: &Billed) -> bool {
        !self.late.contains(&billed.period.start)
    }
}

/// The use of an offer's meters, in its order, each with the meter's place.
pub(super) fn used<'a>(
    offer: &'a Offer,
    counts: &'a Counts,
) -> impl Iterator<Item = (Used, usize)> + 'a {
    offer.charges.iter().filter_map(|charge| {
        let meter = place_of(charge.meter.as_str())?;
        let used = Used {
            charge: charge.clone(),
            title: charge.meter.as_str().to_owned(),
            unit: "unit".to_owned(),
            quantity: counts[meter],
        };
        Some((used, meter))
    })
}

pub(super) fn place_of(meter: &str) -> Option<usize> {
    METERS.iter().position(|name| *name == meter)
}
