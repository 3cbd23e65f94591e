//! A lease: permits already debited in Redis that this edge may spend by itself. Pure.
//!
//! It starts at one permit, doubles while it is spent in time, and shrinks to what was really spent when it
//! was not; so an idle or tightly limited cell costs exact single permits and a busy one a call a second.

use crate::gcra::Rate;

/// How long permits may be held, in microseconds: the most by which a lease shifts a permit.
pub const LEASE_LIFE_US: u64 = 1_000_000;
/// Most permits asked for at once.
pub const LEASE_PERMITS_MAX: u64 = 1 << 20;
/// Leases smaller than this are not refilled ahead of need.
const REFILL_AHEAD_MIN: u64 = 8;

/// Permits of one cell held by this edge.
#[derive(Debug, Clone, Default)]
pub struct Lease {
    permits: u64,
    size: u64,
    spent: u64,
    acquired_us: u64,
    denied_until_us: u64,
    asked_us: u64,
    left_in_redis: u64,
}

/// What a lease answers to a request for a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supply {
    /// A permit is there.
    Ready,
    /// None is here; ask Redis.
    Dry,
    /// Redis has none before this instant.
    Denied {
        /// Microseconds on the edge's clock.
        until_us: u64,
    },
}

impl Lease {
    /// Whether a permit can be spent at `now_us`.
    #[must_use]
    pub fn supply(&self, now_us: u64) -> Supply {
        if self.permits > 0 && now_us < self.acquired_us + LEASE_LIFE_US {
            Supply::Ready
        } else if now_us < self.denied_until_us {
            Supply::Denied { until_us: self.denied_until_us }
        } else {
            Supply::Dry
        }
    }

    /// Spends a permit that [`Self::supply`] has shown. True when it is time to refill ahead of need.
    pub const fn spend(&mut self) -> bool {
        self.permits = self.permits.saturating_sub(1);
        self.spent += 1;
        self.size >= REFILL_AHEAD_MIN && self.permits * 10 <= self.size * 3
    }

    /// How many permits to ask for: a second's worth at the present pace, at most twice the last lease.
    #[must_use]
    pub fn want(&self, now_us: u64) -> u64 {
        let elapsed_us = now_us.saturating_sub(self.acquired_us).max(1_000);
        let pace = self.spent.saturating_mul(LEASE_LIFE_US) / elapsed_us;
        pace.min(self.size * 2).clamp(1, LEASE_PERMITS_MAX)
    }

    /// Books Redis' answer to a request for permits.
    pub const fn granted(&mut self, grant: u64, left_in_redis: u64, wait_us: u64, now_us: u64) {
        self.left_in_redis = left_in_redis;
        self.asked_us = now_us;
        if grant == 0 {
            self.denied_until_us = now_us + wait_us;
            return;
        }
        self.permits += grant;
        self.size = grant;
        self.spent = 0;
        self.acquired_us = now_us;
    }

    /// Permits whose time is over, to be given back. Call it before asking for more.
    pub fn expire(&mut self, now_us: u64) -> u64 {
        if self.permits == 0 || now_us < self.acquired_us + LEASE_LIFE_US {
            return 0;
        }
        self.size = self.spent.max(1);
        std::mem::take(&mut self.permits)
    }

    /// All permits, to be given back because the edge stops.
    pub const fn surrender(&mut self) -> u64 {
        std::mem::replace(&mut self.permits, 0)
    }

    /// Permits held here.
    #[must_use]
    pub const fn held(&self) -> u64 {
        self.permits
    }

    /// Permits known to be left: those held, those that Redis had, and those come back since. Before Redis
    /// has said anything, all.
    #[must_use]
    pub fn known_left(&self, rate: Rate, now_us: u64) -> u64 {
        if self.asked_us == 0 {
            return rate.burst();
        }
        let since_us = now_us.saturating_sub(self.asked_us);
        (self.permits + self.left_in_redis + since_us / rate.interval_us()).min(rate.burst())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn starts_at_one_and_doubles_under_load() {
        let mut lease = Lease::default();
        let mut sizes = Vec::new();
        let mut now_us = 1_000_000;
        for _ in 0..6 {
            let want = lease.want(now_us);
            sizes.push(want);
            lease.granted(want, 1_000, 0, now_us);
            while lease.supply(now_us) == Supply::Ready {
                now_us += 100;
                lease.spend();
            }
        }
        assert_eq!(sizes, [1, 2, 4, 8, 16, 32]);
    }

    #[test]
    fn unspent_permits_are_given_back_once_and_the_next_lease_is_smaller() {
        let mut lease = Lease::default();
        lease.granted(100, 0, 0, 0);
        lease.spend();
        lease.spend();
        assert_eq!(lease.expire(LEASE_LIFE_US - 1), 0);
        assert_eq!(lease.expire(LEASE_LIFE_US), 98);
        assert_eq!(lease.expire(LEASE_LIFE_US), 0);
        assert!(lease.want(LEASE_LIFE_US) <= 4);
    }

    #[test]
    fn a_denial_is_remembered_until_it_ends() {
        let mut lease = Lease::default();
        lease.granted(0, 0, 500, 1_000);
        assert_eq!(lease.supply(1_499), Supply::Denied { until_us: 1_500 });
        assert_eq!(lease.supply(1_500), Supply::Dry);
    }

    proptest! {
        /// Whatever happens: granted = spent + given back + still held.
        #[test]
        fn permits_are_conserved(steps in proptest::collection::vec((0u8..4, 0u64..700_000), 0..200)) {
            let mut lease = Lease::default();
            let (mut now_us, mut granted, mut spent, mut back) = (0, 0, 0, 0);
            for (step, gap) in steps {
                now_us += gap;
                match step {
                    0 => {
                        back += lease.expire(now_us);
                        let grant = lease.want(now_us).min(gap % 50);
                        lease.granted(grant, 0, 10, now_us);
                        granted += grant;
                    }
                    1 => back += lease.expire(now_us),
                    _ if lease.supply(now_us) == Supply::Ready => {
                        lease.spend();
                        spent += 1;
                    }
                    _ => {}
                }
            }
            prop_assert_eq!(granted, spent + back + lease.surrender());
        }
    }
}
