//! An edge's part of a limit while Redis is away or slow: the limit divided by the edges that live. Pure.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use crate::rule::{Rule, WINDOW_US};

/// This edge among those that live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// How many live, this one included.
    pub(crate) edges: u64,
    /// How many of them come before it.
    pub(crate) rank: u64,
}

impl Place {
    /// This edge's part of `permits`: an even one, and one of those left over for a few edges, which are
    /// others for each cell, so that no edge is the one that holds nothing.
    pub(crate) fn part_of(self, permits: u64, cell: u64) -> u64 {
        let edges = self.edges.max(1);
        let turn = (self.rank + cell % edges) % edges;
        permits / edges + u64::from(turn < permits % edges)
    }
}

/// What is left of this edge's part.
#[derive(Debug)]
pub(crate) enum Share {
    /// None to begin with.
    Nothing,
    /// A rate.
    Rate(Box<Rate>),
    /// So many slots at the same time.
    Slots(u64),
    /// So many more until the period ends.
    Permits(u64),
}

/// `governor`'s limiter with its clock and its state in our hands: time is passed in, and what was taken can
/// be put back when another limit of the same request refuses.
#[derive(Debug)]
pub(crate) struct Rate {
    limiter: RateLimiter<NotKeyed, Kept, Passed, NoOpMiddleware<Nanos>>,
    kept: Kept,
    clock: Passed,
    part: NonZeroU32,
}

#[derive(Debug, Clone, Default)]
struct Passed(Arc<AtomicU64>);

impl Clock for Passed {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.0.load(Ordering::Relaxed))
    }
}

/// Shared with the limiter, which owns its state; both are reached under the cell's lock only.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<AtomicU64>);

impl StateStore for Kept {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _key: &NotKeyed, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let before = self.0.load(Ordering::Relaxed);
        let (outcome, after) = f((before > 0).then(|| Nanos::new(before)))?;
        self.0.store(after.as_u64(), Ordering::Relaxed);
        Ok(outcome)
    }
}

impl Share {
    /// The share of `rule` at an edge's `place`, of which nothing is used.
    pub(crate) fn new(rule: Rule, place: Place, cell: u64) -> Self {
        let part = place.part_of(rule.permits(), cell);
        match rule {
            Rule::PerMinute(_) => {
                let part = u32::try_from(part).ok().and_then(NonZeroU32::new);
                part.map_or(Self::Nothing, |part| Self::Rate(Box::new(Rate::new(part))))
            }
            Rule::Concurrent(_) => Self::Slots(part),
            Rule::PerPeriod { .. } => Self::Permits(part),
        }
    }

    /// The share of another outage, whatever was taken in the last one and has not come back.
    pub(crate) fn renew(&mut self, rule: Rule, place: Place, cell: u64, now_us: u64) {
        let taken = match self {
            Self::Rate(rate) => rate.used(now_us),
            Self::Nothing | Self::Slots(_) | Self::Permits(_) => 0,
        };
        *self = Self::new(rule, place, cell);
        if let Self::Rate(rate) = self {
            // Of a smaller limit no more can be gone than all of it.
            rate.raise(taken.min(rate.part.get().into()), now_us);
        }
    }

    /// Takes into account that all edges together have come to `level`: of the share, the same part is gone.
    pub(crate) fn reckon(&mut self, rule: Rule, place: Place, cell: u64, level: u64, now_us: u64) {
        let permits = rule.permits();
        match self {
            Self::Rate(rate) => {
                let used = level.div_ceil(rule.unit()).min(permits);
                let part = u64::from(rate.part.get());
                rate.raise(scaled(used, part, permits), now_us);
            }
            Self::Permits(left) => {
                *left = (*left).min(place.part_of(permits.saturating_sub(level), cell));
            }
            Self::Nothing | Self::Slots(_) => {}
        }
    }

    /// Takes `cost` permits, `in_use` being taken of slots; else the time to wait, if time helps.
    pub(crate) fn take(&mut self, cost: u64, in_use: u64, now_us: u64) -> Result<(), Option<u64>> {
        match self {
            Self::Nothing => Err(Some(WINDOW_US)),
            Self::Rate(rate) => rate.take(cost, now_us).map_err(Some),
            Self::Slots(part) if in_use + cost <= *part => Ok(()),
            Self::Permits(left) if *left >= cost => {
                *left -= cost;
                Ok(())
            }
            Self::Slots(_) | Self::Permits(_) => Err(None),
        }
    }

    /// Puts back what was taken last.
    pub(crate) fn put_back(&mut self, cost: u64) {
        match self {
            Self::Rate(rate) => rate.put_back(cost),
            Self::Permits(left) => *left += cost,
            Self::Nothing | Self::Slots(_) => {}
        }
    }

    /// Books permits that this edge spent of a lease meanwhile.
    pub(crate) fn book(&mut self, cost: u64, now_us: u64) {
        match self {
            Self::Rate(rate) => rate.book(cost, now_us),
            Self::Permits(left) => *left = left.saturating_sub(cost),
            Self::Nothing | Self::Slots(_) => {}
        }
    }

    /// Permits of what was taken that have not come back by time.
    pub(crate) fn undrained(&self, now_us: u64) -> u64 {
        match self {
            Self::Rate(rate) => rate.used(now_us),
            Self::Nothing | Self::Slots(_) | Self::Permits(_) => u64::MAX,
        }
    }
}

impl Rate {
    fn new(part: NonZeroU32) -> Self {
        let (kept, clock) = (Kept::default(), Passed::default());
        // Made at instant zero, so that the state is an instant of our clock.
        let limiter = RateLimiter::new(Quota::per_minute(part), kept.clone(), clock.clone());
        Self { limiter, kept, clock, part }
    }

    fn raise(&self, used: u64, now_us: u64) {
        self.kept.0.fetch_max(now_us * 1_000 + used * self.interval_ns(), Ordering::Relaxed);
    }

    fn take(&self, cost: u64, now_us: u64) -> Result<(), u64> {
        self.clock.0.store(now_us * 1_000, Ordering::Relaxed);
        let Some(cost) = u32::try_from(cost).ok().and_then(NonZeroU32::new) else { return Ok(()) };
        match self.limiter.check_n(cost) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(refusal)) => {
                let wait = refusal.wait_time_from(self.clock.now());
                Err(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX).max(1))
            }
            Err(_beyond_the_part) => Err(WINDOW_US),
        }
    }

    fn put_back(&self, cost: u64) {
        let before = self.kept.0.load(Ordering::Relaxed);
        self.kept.0.store(before.saturating_sub(cost * self.interval_ns()), Ordering::Relaxed);
    }

    fn book(&self, cost: u64, now_us: u64) {
        let full_ns = self.kept.0.load(Ordering::Relaxed).max(now_us * 1_000);
        self.kept.0.store(full_ns + cost * self.interval_ns(), Ordering::Relaxed);
    }

    fn used(&self, now_us: u64) -> u64 {
        let full_ns = self.kept.0.load(Ordering::Relaxed);
        full_ns.saturating_sub(now_us * 1_000).div_ceil(self.interval_ns())
    }

    /// As `governor` reckons it.
    fn interval_ns(&self) -> u64 {
        (WINDOW_US * 1_000) / u64::from(self.part.get())
    }
}

/// `part` of `used`, rounded up: a share never begins with more than is left.
fn scaled(used: u64, part: u64, whole: u64) -> u64 {
    let scaled = (u128::from(used) * u128::from(part)).div_ceil(u128::from(whole.max(1)));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn per_minute(count: u32) -> Rule {
        Rule::PerMinute(NonZeroU32::new(count).unwrap())
    }

    fn taken(share: &mut Share, times: u64, now_us: u64) -> u64 {
        (0..times).map(|_| u64::from(share.take(1, 0, now_us).is_ok())).sum()
    }

    #[test]
    fn a_share_is_a_burst_and_a_pace() {
        let place = Place { edges: 4, rank: 1 };
        let mut share = Share::new(per_minute(40), place, 0);
        assert_eq!(taken(&mut share, 20, 5_000_000), 10);
        assert_eq!(share.undrained(5_000_000), 10);
        assert_eq!(share.take(1, 0, 5_000_000), Err(Some(6_000_000)));
        assert_eq!(taken(&mut share, 5, 17_000_000), 2);
        share.put_back(1);
        assert_eq!(taken(&mut share, 5, 17_000_000), 1);
    }

    #[test]
    fn slots_are_counted_by_what_is_in_use() {
        let rule = Rule::Concurrent(NonZeroU32::new(5).unwrap());
        let mut share = Share::new(rule, Place { edges: 2, rank: 0 }, 0);
        assert_eq!(share.take(1, 2, 0), Ok(()));
        assert_eq!(share.take(1, 3, 0), Err(None));
    }

    proptest! {
        /// Whatever the limit and the fleet: all shares together are the limit, less what is used of it.
        #[test]
        fn shares_add_up(permits in 1u32..500, edges in 1u64..12, cell: u64, used in 0u64..600) {
            let used = used.min(u64::from(permits));
            for rule in [per_minute(permits), Rule::PerPeriod { permits: permits.into(), ends_at: 0 }] {
                let total: u64 = (0..edges)
                    .map(|rank| {
                        let place = Place { edges, rank };
                        let mut share = Share::new(rule, place, cell);
                        share.reckon(rule, place, cell, used * rule.unit(), 1);
                        taken(&mut share, 1_000, 1)
                    })
                    .sum();
                let left = u64::from(permits) - used;
                prop_assert!(total <= left && total + edges > left, "{total} of {left}");
            }
        }
    }
}
