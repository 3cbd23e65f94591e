//! How the feed is doing; for metrics and readiness.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Written by the feed, read by whoever asks.
#[derive(Debug)]
pub struct Status {
    started: Instant,
    /// Milliseconds from `started` to when the policy was last known to be current, below zero for before.
    current_ms: AtomicI64,
    /// Whether Postgres is connected.
    pub connected: AtomicBool,
    /// Whether what is known would outlive a kill, or cannot be made to: false in the first moments of a first start.
    pub settled: AtomicBool,
    /// How often everything was read.
    pub loads: AtomicU64,
    /// How long that took last, in microseconds.
    pub load_us: AtomicU64,
    /// Entities whose change was applied by itself.
    pub changes: AtomicU64,
}

const NEVER: i64 = i64::MIN;

impl Status {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            current_ms: AtomicI64::new(NEVER),
            connected: AtomicBool::new(false),
            settled: AtomicBool::new(false),
            loads: AtomicU64::new(0),
            load_us: AtomicU64::new(0),
            changes: AtomicU64::new(0),
        }
    }

    /// How long ago the policy was last known to be current; `None` before there is one.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let current_ms = self.current_ms.load(Ordering::Relaxed);
        let age_ms = self.elapsed_ms().saturating_sub(current_ms);
        (current_ms != NEVER).then(|| Duration::from_millis(u64::try_from(age_ms).unwrap_or(0)))
    }

    /// The policy was current `ago`.
    pub(crate) fn confirm(&self, ago: Duration) {
        let ago_ms = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        let current_ms = self.elapsed_ms().saturating_sub(ago_ms).max(NEVER + 1);
        self.current_ms.store(current_ms, Ordering::Relaxed);
    }

    fn elapsed_ms(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_goes_on_from_before_the_start() {
        let status = Status::new();
        assert_eq!(status.age(), None);
        let hour = Duration::from_secs(3600);
        status.confirm(hour);
        assert!(status.age().is_some_and(|age| age >= hour && age < hour * 2));
        status.confirm(Duration::ZERO);
        assert!(status.age().is_some_and(|age| age < hour));
    }
}
