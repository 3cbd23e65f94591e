//! When a tenant had which plan: stretches of time, each part of a whole period.

use anyhow::{Context, Result, ensure};
use billing::Offer;
use domain::period::Period;
use domain::plan::BillingCycle;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::calendar::{boundary, month_start};
use super::exact::Exact;
use crate::billing_world::catalogue::{Catalogue, OfferPlace};

/// A time in which nothing changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    /// The period that its price is for.
    pub(super) whole: Period,
    pub(super) offer: OfferPlace,
    trial: bool,
    /// Which period it is part of: use is counted by these.
    period: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::billing_world) struct History {
    stretches: Vec<Stretch>,
    zone: TimeZone,
    anchor: Timestamp,
    cycle: BillingCycle,
    /// Of the period that runs.
    index: i32,
    free: bool,
}

impl History {
    /// Of one who begins on `offer`: on trial until `trial_end`, or for good.
    pub(in crate::billing_world) fn begin(
        at: Timestamp,
        zone: &TimeZone,
        place: OfferPlace,
        offer: &Offer,
        trial_end: Option<Timestamp>,
    ) -> Result<Self> {
        let mut history = Self {
            stretches: Vec::new(),
            zone: zone.clone(),
            anchor: at,
            cycle: offer.cycle,
            index: 0,
            free: offer.is_free(),
        };
        history.anchor_at(at, place, offer)?;
        if let (Some(end), Some(first)) = (trial_end, history.stretches.first_mut()) {
            let whole = Period { start: at, end };
            *first = Stretch { end, whole, trial: true, ..first.clone() };
        }
        Ok(history)
    }

    /// The zone that later boundaries are reckoned in.
    pub(in crate::billing_world) fn moved_to(&mut self, zone: &TimeZone) {
        self.zone = zone.clone();
    }

    /// Periods that are over by `now` are followed by others of the same plan; trials are not.
    pub(in crate::billing_world) fn advance(&mut self, now: Timestamp) -> Result<()> {
        while let Some(last) = self.stretches.last().filter(|one| one.end <= now && !one.trial) {
            let (start, offer, period) = (last.end, last.offer, last.period + 1);
            self.index += 1;
            let end = boundary(self.anchor, self.cycle, &self.zone, self.index)?;
            ensure!(end > start, "a period of no time");
            let whole = Period { start, end };
            self.stretches.push(Stretch { start, end, whole, offer, trial: false, period });
        }
        Ok(())
    }

    /// From `at` on it has another plan. After a trial, after the free plan and in another cycle, a period begins.
    pub(in crate::billing_world) fn took(
        &mut self,
        at: Timestamp,
        place: OfferPlace,
        offer: &Offer,
    ) -> Result<()> {
        let last = self.stretches.last_mut().context("a plan after none")?;
        let anew = last.trial || self.free || offer.cycle != self.cycle;
        let empty = last.start == at && !last.trial;
        let (whole, period) = (last.whole, last.period);
        // One that was held for no time at all still says by which terms the period's use is billed.
        if empty && !anew {
            last.offer = place;
        } else {
            last.end = at;
        }
        self.free = offer.is_free();
        if anew {
            return self.anchor_at(at, place, offer);
        }
        if !empty {
            let end = whole.end;
            let next = Stretch { start: at, end, whole, offer: place, trial: false, period };
            self.stretches.push(next);
        }
        Ok(())
    }

    fn anchor_at(&mut self, at: Timestamp, place: OfferPlace, offer: &Offer) -> Result<()> {
        self.cycle = offer.cycle;
        self.index = 0;
        self.anchor = match offer.cycle {
            BillingCycle::PayAsYouGo => month_start(at, &self.zone)?,
            BillingCycle::Monthly | BillingCycle::Yearly => at,
        };
        let end = boundary(self.anchor, self.cycle, &self.zone, 0)?;
        let whole = Period { start: at, end };
        let period = self.stretches.last().map_or(0, |last| last.period + 1);
        self.stretches.push(Stretch { start: at, end, whole, offer: place, trial: false, period });
        Ok(())
    }

    /// The period that runs at the end of what is known.
    pub(in crate::billing_world) fn running(&self) -> Option<Period> {
        let last = self.stretches.last()?;
        let first =
            self.stretches.iter().rev().take_while(|one| one.period == last.period).last()?;
        Some(Period { start: first.start, end: last.whole.end })
    }

    /// The stretch that begins at `at`; of those that took no time, the one after them.
    pub(super) fn starting(&self, at: Timestamp) -> Option<&Stretch> {
        self.stretches.get(self.place_of(at)).filter(|one| one.start == at && !one.trial)
    }

    /// The place of the last stretch that begins no later than `at`.
    fn place_of(&self, at: Timestamp) -> usize {
        self.stretches.partition_point(|one| one.start <= at).saturating_sub(1)
    }

    /// The use's period that begins at `at`: its end, and the offer that it ended with.
    pub(super) fn used_from(&self, at: Timestamp) -> Option<(Period, OfferPlace)> {
        let first = self.starting(at)?;
        let of_period = self.stretches.iter().skip(self.place_of(at));
        let last = of_period.take_while(|one| one.period == first.period).last()?;
        Some((Period { start: at, end: last.end }, last.offer))
    }

    /// The starts of all periods but trials.
    pub(in crate::billing_world) fn periods(&self) -> Vec<(Period, OfferPlace)> {
        let mut periods = Vec::new();
        let mut known = None;
        let held = |one: &&Stretch| !one.trial && one.start < one.end;
        for stretch in self.stretches.iter().filter(held) {
            if known != Some(stretch.period) {
                known = Some(stretch.period);
                periods.extend(self.used_from(stretch.start));
            }
        }
        periods
    }

    /// What the time from `from` (or from the beginning) to `to` costs, rounded down.
    pub(in crate::billing_world) fn worth_minor(
        &self,
        catalogue: &Catalogue,
        from: Option<Timestamp>,
        to: Timestamp,
    ) -> Result<i64> {
        let mut worth_minor = 0;
        // From the latest back: the time asked about is nearly always none, and the last.
        for stretch in self.stretches.iter().rev().filter(|stretch| !stretch.trial) {
            if from.is_some_and(|from| stretch.end <= from) {
                break;
            }
            let start = from.map_or(stretch.start, |from| stretch.start.max(from));
            let cost = stretch.cost(catalogue, start, stretch.end.min(to))?;
            worth_minor += cost.floor()?;
        }
        Ok(worth_minor)
    }

    /// What all the time until `to` costs: each stretch of it, rounded to the nearest; and how many there are.
    pub(in crate::billing_world) fn life_minor(
        &self,
        catalogue: &Catalogue,
        to: Timestamp,
    ) -> Result<(i64, i64)> {
        let (mut sum_minor, mut count) = (0, 0);
        for stretch in self.stretches.iter().filter(|stretch| !stretch.trial && stretch.start < to)
        {
            sum_minor += stretch.cost(catalogue, stretch.start, stretch.end.min(to))?.nearest()?;
            count += 1;
        }
        Ok((sum_minor, count))
    }
}

impl Stretch {
    /// What a part of it costs: so many seconds of its period's.
    pub(super) fn cost(
        &self,
        catalogue: &Catalogue,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Exact> {
        let price = catalogue.offer(self.offer)?.fee_minor;
        let seconds = (end.as_second() - start.as_second()).max(0);
        let whole = self.whole.end.as_second() - self.whole.start.as_second();
        Exact::whole(price).times(seconds.into(), whole.into())
    }
}
