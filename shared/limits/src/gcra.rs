//! The generic cell rate algorithm: one instant per cell, in integer microseconds. Pure.
//!
//! A limit of N a minute means N at once, then one each 60/N seconds. The cell's instant (the theoretical
//! arrival time, TAT) is when the bucket will be full again; `gcra.lua` computes the same in Redis.

use std::num::NonZeroU32;

/// The period that a limit counts over, in microseconds and in seconds.
pub const WINDOW_US: u64 = 60_000_000;
/// As [`WINDOW_US`], for headers.
pub const WINDOW_SECS: u64 = 60;

/// How fast a cell fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    interval_us: u64,
    burst: u64,
}

impl Rate {
    /// `count` a minute. The interval is rounded up, so that no rounding ever admits more.
    #[must_use]
    pub const fn per_minute(count: NonZeroU32) -> Self {
        let burst = count.get() as u64;
        Self { interval_us: WINDOW_US.div_ceil(burst), burst }
    }

    /// Time in which one permit comes back.
    #[must_use]
    pub const fn interval_us(self) -> u64 {
        self.interval_us
    }

    /// Permits of a full cell.
    #[must_use]
    pub const fn burst(self) -> u64 {
        self.burst
    }

    const fn tolerance_us(self) -> u64 {
        self.interval_us * self.burst
    }
}

/// The state of one cell: when it will be full again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gcra {
    tat_us: u64,
}

impl Gcra {
    /// Permits that can be had at `now_us`.
    #[must_use]
    pub fn available(self, rate: Rate, now_us: u64) -> u64 {
        let tat_us = self.tat_us.max(now_us);
        (now_us + rate.tolerance_us()).saturating_sub(tat_us) / rate.interval_us
    }

    /// Takes one permit; the caller has seen that one is available.
    pub fn take_one(&mut self, rate: Rate, now_us: u64) {
        self.tat_us = self.tat_us.max(now_us) + rate.interval_us;
    }

    /// Time until one permit can be had, zero if one can.
    #[must_use]
    pub fn wait_us(self, rate: Rate, now_us: u64) -> u64 {
        let tat_us = self.tat_us.max(now_us);
        (tat_us + rate.interval_us).saturating_sub(now_us + rate.tolerance_us())
    }

    /// Time until the cell is full.
    #[must_use]
    pub const fn full_after_us(self, now_us: u64) -> u64 {
        self.tat_us.saturating_sub(now_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(count: u32) -> Rate {
        Rate::per_minute(NonZeroU32::new(count).unwrap())
    }

    fn admit(cell: &mut Gcra, rate: Rate, now_us: u64) -> bool {
        let admitted = cell.available(rate, now_us) > 0;
        if admitted {
            cell.take_one(rate, now_us);
        }
        admitted
    }

    #[test]
    fn ten_a_minute_is_ten_at_once_then_one_each_six_seconds() {
        let (mut cell, rate, start) = (Gcra::default(), rate(10), 5_000_000);
        assert_eq!((0..15).filter(|_| admit(&mut cell, rate, start)).count(), 10);
        assert_eq!(cell.wait_us(rate, start), 6_000_000);
        assert!(!admit(&mut cell, rate, start + 5_999_999));
        assert!(admit(&mut cell, rate, start + 6_000_000));
        assert!(!admit(&mut cell, rate, start + 6_000_000));
    }

    proptest! {
        #[test]
        fn any_window_admits_at_most_burst_and_rate(
            count in 1u32..5_000,
            gaps in proptest::collection::vec(0u64..3_000_000, 1..400),
        ) {
            let (mut cell, rate) = (Gcra::default(), rate(count));
            let mut now_us = 1_000_000;
            let mut admitted = Vec::new();
            for gap in gaps {
                now_us += gap;
                let wait_us = cell.wait_us(rate, now_us);
                let granted = admit(&mut cell, rate, now_us);
                prop_assert_eq!(granted, wait_us == 0);
                if granted {
                    admitted.push(now_us);
                }
            }
            for (first, start) in admitted.iter().enumerate() {
                for (last, end) in admitted.iter().enumerate().skip(first) {
                    let bound = u64::from(count) + (end - start) * u64::from(count) / WINDOW_US;
                    prop_assert!((last - first + 1) as u64 <= bound);
                }
            }
        }

        #[test]
        fn waiting_as_told_suffices(count in 1u32..100_000, used in 1u64..200, now_us in 1u64..1 << 50) {
            let (mut cell, rate) = (Gcra::default(), rate(count));
            for _ in 0..used {
                admit(&mut cell, rate, now_us);
            }
            let later = now_us + cell.wait_us(rate, now_us);
            prop_assert!(cell.available(rate, later) >= 1);
            prop_assert_eq!(cell.available(rate, now_us + cell.full_after_us(now_us)), rate.burst());
        }
    }
}
