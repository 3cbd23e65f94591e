//! What a limit allows, in numbers that Redis' scripts reckon exactly. Pure.
//!
//! A cell has a level: what is taken, in units, drained as time goes by. It is the continuous-state leaky
//! bucket, the second of the two equal forms in which ITU-T I.371 (annex A) gives the generic cell rate
//! algorithm. This form survives a change of its limit: what is taken stays taken.

use std::num::NonZeroU32;
use std::time::Duration;

/// The period that a rate counts over, in microseconds.
pub(crate) const WINDOW_US: u64 = 60_000_000;
/// As [`WINDOW_US`], for headers.
pub const WINDOW_SECS: u64 = 60;
/// Highest rate: beyond it a script's numbers (53 bits) could not hold a full cell.
const PER_MINUTE_MAX: u64 = 50_000_000;
/// Highest quota, for the same reason.
const PERMITS_MAX: u64 = 1 << 52;

/// What a limit allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// So many at once, then one each minute ÷ so many.
    PerMinute(NonZeroU32),
    /// So many in progress at the same time.
    Concurrent(NonZeroU32),
    /// So many until `ends_at` (seconds of Unix time). The cell's key names the period.
    PerPeriod {
        /// How many.
        permits: u64,
        /// When the period ends.
        ends_at: u64,
    },
}

/// How fast a cell's level goes down by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drain {
    /// Units a microsecond.
    Steady(u64),
    /// At once: only what is held counts.
    AtOnce,
    /// Not before the period ends.
    Never,
}

impl Drain {
    /// As the scripts read it.
    pub(crate) fn argument(self) -> i64 {
        match self {
            Self::Steady(units) => i64::try_from(units).unwrap_or(i64::MAX),
            Self::AtOnce => -1,
            Self::Never => 0,
        }
    }
}

impl Rule {
    /// How many permits a full cell holds.
    #[must_use]
    pub const fn permits(self) -> u64 {
        let (permits, most) = match self {
            Self::PerMinute(count) => (count.get() as u64, PER_MINUTE_MAX),
            Self::Concurrent(count) => (count.get() as u64, PERMITS_MAX),
            Self::PerPeriod { permits, .. } => (permits, PERMITS_MAX),
        };
        if permits < most { permits } else { most }
    }

    /// Units of level that a permit takes. N a minute drain N units a microsecond, so that no rounding ever
    /// gives or takes a permit.
    #[must_use]
    pub(crate) const fn unit(self) -> u64 {
        match self {
            Self::PerMinute(_) => WINDOW_US,
            Self::Concurrent(_) | Self::PerPeriod { .. } => 1,
        }
    }

    pub(crate) fn drain(self) -> Drain {
        match self {
            Self::PerMinute(_) => Drain::Steady(self.permits()),
            Self::Concurrent(_) => Drain::AtOnce,
            Self::PerPeriod { .. } => Drain::Never,
        }
    }

    /// How long an edge may hold permits that it does not spend: the most by which a lease shifts one. Slots
    /// that are in use are held as well, so their leases are renewed, and seldom.
    #[must_use]
    pub(crate) const fn lease_life(self) -> Duration {
        match self {
            Self::PerMinute(_) => Duration::from_secs(1),
            Self::Concurrent(_) | Self::PerPeriod { .. } => Duration::from_secs(8),
        }
    }

    /// The level that is left of `level` after `elapsed_us`.
    pub(crate) fn drained(self, level: u64, elapsed_us: u64) -> u64 {
        match self.drain() {
            Drain::Steady(units) => level.saturating_sub(units.saturating_mul(elapsed_us)),
            Drain::AtOnce => 0,
            Drain::Never => level,
        }
    }

    /// Whole permits that are free at `level`.
    #[must_use]
    pub(crate) fn available(self, level: u64) -> u64 {
        self.permits().saturating_sub(level.div_ceil(self.unit()))
    }

    /// Time until one permit is free at `level`; `None` where only something other than time frees one.
    pub(crate) fn wait_us(self, level: u64) -> Option<u64> {
        if self.available(level) > 0 {
            return Some(0);
        }
        let full = self.permits() * self.unit();
        match self.drain() {
            Drain::Steady(units) => Some((level + self.unit() - full).div_ceil(units)),
            Drain::AtOnce | Drain::Never => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn per_minute(count: u32) -> Rule {
        Rule::PerMinute(NonZeroU32::new(count).unwrap())
    }

    #[test]
    fn ten_a_minute_is_ten_at_once_then_one_each_six_seconds() {
        let rule = per_minute(10);
        assert_eq!(rule.available(0), 10);
        let full = 10 * rule.unit();
        assert_eq!((rule.available(full), rule.wait_us(full)), (0, Some(6_000_000)));
        assert_eq!(rule.available(rule.drained(full, 5_999_999)), 0);
        assert_eq!(rule.available(rule.drained(full, 6_000_000)), 1);
    }

    #[test]
    fn no_rate_loses_a_permit_to_rounding() {
        for count in [1, 7, 999, 7_777_777] {
            let rule = per_minute(count);
            let full = rule.permits() * rule.unit();
            assert_eq!(rule.available(rule.drained(full, WINDOW_US)), u64::from(count));
        }
    }

    #[test]
    fn the_largest_cell_fits_a_scripts_numbers() {
        for rule in [per_minute(u32::MAX), Rule::PerPeriod { permits: u64::MAX, ends_at: 0 }] {
            assert!(2 * rule.permits() * rule.unit() <= 1 << 53);
        }
    }

    #[test]
    fn waiting_as_told_suffices_and_no_less_does() {
        for (count, excess) in [(1, 0), (3, 17), (1_000, 59_999_999), (50_000, 1)] {
            let rule = per_minute(count);
            let level = rule.permits() * rule.unit() + excess;
            let wait_us = rule.wait_us(level).unwrap();
            assert_eq!(rule.available(rule.drained(level, wait_us)), 1);
            assert_eq!(rule.available(rule.drained(level, wait_us - 1)), 0);
        }
    }
}
