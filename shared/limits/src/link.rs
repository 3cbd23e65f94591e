//! How it stands with Redis, and what that means for requests.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

/// Longest that a request waits for Redis; what answers later is slow.
pub const WAIT_MAX: Duration = Duration::from_millis(5);
/// So many answers in time, one after the other, and none late for so long: then Redis is no longer slow.
const FAST_ANSWERS: u64 = 3;
const FAST_FOR_US: u64 = 250_000;

/// How limits are decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// From leases; a request whose lease is dry waits for Redis.
    Leasing = 0,
    /// From leases while they last, which are still refilled; else from this edge's share of the limit.
    Slow = 1,
    /// From this edge's share of each limit.
    Away = 2,
}

impl Mode {
    /// As logs and metrics name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leasing => "leasing",
            Self::Slow => "slow",
            Self::Away => "away",
        }
    }

    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Leasing, Self::Slow, Self::Away];
}

/// The state of the way to Redis. Each change is logged once.
#[derive(Debug)]
pub(crate) struct Link {
    mode: AtomicU8,
    fast_answers: AtomicU64,
    slow_us: AtomicU64,
    outages: AtomicU64,
    /// Nothing has been said yet.
    silent: AtomicBool,
}

impl Link {
    /// Not connected yet.
    pub(crate) const fn new() -> Self {
        Self {
            mode: AtomicU8::new(Mode::Away as u8),
            fast_answers: AtomicU64::new(0),
            slow_us: AtomicU64::new(0),
            outages: AtomicU64::new(0),
            silent: AtomicBool::new(true),
        }
    }

    pub(crate) fn mode(&self) -> Mode {
        match self.mode.load(Ordering::Relaxed) {
            0 => Mode::Leasing,
            1 => Mode::Slow,
            _ => Mode::Away,
        }
    }

    /// Numbers the times without Redis, the present one included.
    pub(crate) fn outage(&self) -> u64 {
        self.outages.load(Ordering::Relaxed)
    }

    /// Redis is connected and answers in time.
    pub(crate) fn connected(&self) {
        self.fast_answers.store(0, Ordering::Relaxed);
        self.silent.store(false, Ordering::Relaxed);
        if self.change(Mode::Leasing) != Mode::Leasing {
            tracing::info!("redis answers: limits are shared between edges");
        }
    }

    /// The connection is lost, or there is none yet.
    pub(crate) fn lost(&self, why: &dyn std::fmt::Display) {
        let silent = self.silent.swap(false, Ordering::Relaxed);
        if self.change(Mode::Away) != Mode::Away || silent {
            tracing::warn!(error = %why, "redis is away: each edge limits by its share until it is back");
        }
    }

    /// This edge gives its leases back; what it still decides, it decides alone.
    pub(crate) fn stopped(&self) {
        self.change(Mode::Away);
    }

    /// An answer took `way`.
    pub(crate) fn answered(&self, way: Duration, now_us: u64) {
        if way > WAIT_MAX {
            return self.slow(now_us);
        }
        if self.mode() == Mode::Slow {
            let fast = self.fast_answers.fetch_add(1, Ordering::Relaxed) + 1;
            let since_us = now_us.saturating_sub(self.slow_us.load(Ordering::Relaxed));
            if fast >= FAST_ANSWERS && since_us >= FAST_FOR_US {
                self.connected();
            }
        }
    }

    /// An answer did not come in time.
    pub(crate) fn slow(&self, now_us: u64) {
        self.fast_answers.store(0, Ordering::Relaxed);
        self.slow_us.fetch_max(now_us, Ordering::Relaxed);
        let before = (Mode::Leasing as u8, Mode::Slow as u8);
        let changed =
            self.mode.compare_exchange(before.0, before.1, Ordering::Relaxed, Ordering::Relaxed);
        if changed.is_ok() {
            self.outages.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                "redis is slow: requests do not wait for it, each edge limits by its share"
            );
        }
    }

    fn change(&self, to: Mode) -> Mode {
        let before = self.mode();
        self.mode.store(to as u8, Ordering::Relaxed);
        // Slow before: another one, as what was known until now is all that will be.
        if before != Mode::Away && to == Mode::Away {
            self.outages.fetch_add(1, Ordering::Relaxed);
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_outage_is_one_whatever_happens_in_it() {
        let link = Link::new();
        link.connected();
        assert_eq!((link.mode(), link.outage()), (Mode::Leasing, 0));
        link.slow(1);
        link.slow(2);
        link.lost(&"gone");
        link.lost(&"gone");
        assert_eq!((link.mode(), link.outage()), (Mode::Away, 2));
        link.connected();
        link.answered(WAIT_MAX * 2, 3);
        assert_eq!((link.mode(), link.outage()), (Mode::Slow, 3));
    }

    #[test]
    fn slow_ends_with_a_few_answers_in_time() {
        let link = Link::new();
        link.connected();
        link.slow(1);
        let later = 1 + FAST_FOR_US;
        for now_us in [1, 2, 3, later - 1] {
            link.answered(WAIT_MAX, now_us);
            assert_eq!(link.mode(), Mode::Slow, "too soon");
        }
        link.answered(WAIT_MAX, later);
        assert_eq!(link.mode(), Mode::Leasing);
        link.answered(WAIT_MAX * 2, later);
        link.answered(WAIT_MAX, later * 2);
        link.answered(WAIT_MAX, later * 2);
        assert_eq!(link.mode(), Mode::Slow, "too few");
        link.answered(WAIT_MAX, later * 2);
        assert_eq!(link.mode(), Mode::Leasing);
    }
}
