//! Adds the jobs that come by the clock. Every process tries each tick; the one that moves the schedule's mark
//! on adds the job, in the same transaction. What was missed while no process ran is caught up by the schedule's
//! own rule.
//!
//! The library's own scheduler fires once in every process, loses ticks, and dies when it is late.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use jobs::schedule::claim;
use store::{ControlTx, Error};
use tokio::time::{MissedTickBehavior, interval};

use crate::app::App;

/// How exact the times are.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Most missed ticks that are caught up; the oldest are given up.
const EACH_MAX: usize = 1_000;

/// A job that comes by the clock.
#[derive(Clone, Copy)]
pub struct Schedule {
    /// Stable: the mark is kept under it.
    pub name: &'static str,
    /// Ticks are the multiples of this since 1970, so that every process finds the same.
    pub every: SignedDuration,
    /// What becomes of ticks that were missed.
    pub catch_up: CatchUp,
    /// Adds the job of a tick.
    pub add: Add,
}

/// Adds the job of a tick.
pub type Add = for<'t> fn(&'t mut ControlTx, Timestamp) -> BoxFuture<'t, Result<(), Error>>;

/// What becomes of ticks that were missed while no process ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// One job for all of them.
    Once,
    /// A job for each, in order.
    Each,
}

impl CatchUp {
    /// In the list of schedules.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Each => "each",
        }
    }
}

impl Schedule {
    /// The last tick at `now`.
    pub(crate) fn tick(&self, now: Timestamp) -> Timestamp {
        let every = self.every.as_secs().max(1);
        let second = now.as_second().div_euclid(every) * every;
        Timestamp::from_second(second).unwrap_or(Timestamp::MIN)
    }

    /// The first tick after `now`.
    pub(crate) fn next(&self, now: Timestamp) -> Timestamp {
        self.tick(now).checked_add(self.every).unwrap_or(Timestamp::MAX)
    }

    /// The ticks to add jobs for, up to `tick`, when the last one that anybody added was `before`.
    fn due(&self, before: Option<Timestamp>, tick: Timestamp) -> Vec<Timestamp> {
        let (CatchUp::Each, Some(before)) = (self.catch_up, before) else { return vec![tick] };
        let earlier = |at: &Timestamp| at.checked_sub(self.every).ok();
        let missed = std::iter::successors(Some(tick), earlier).take_while(|at| *at > before);
        let mut due: Vec<_> = missed.take(EACH_MAX).collect();
        due.reverse();
        due
    }
}

/// Runs until the process ends.
pub(crate) async fn run(app: Arc<App>, schedules: &'static [Schedule]) {
    let mut offered = vec![Timestamp::MIN; schedules.len()];
    let mut interval = interval(LOOK_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        for (schedule, offered) in schedules.iter().zip(&mut offered) {
            let tick = schedule.tick(app.clock.now());
            if tick == *offered {
                continue;
            }
            match offer(&app, schedule, tick).await {
                Ok(()) => *offered = tick,
                Err(error) => tracing::warn!("{} cannot be scheduled: {error}", schedule.name),
            }
        }
    }
}

async fn offer(app: &App, schedule: &Schedule, tick: Timestamp) -> Result<(), Error> {
    let mut tx = app.store.control().await?;
    if let Some(before) = claim(&mut tx, schedule.name, tick).await? {
        for tick in schedule.due(before.last_tick, tick) {
            (schedule.add)(&mut tx, tick).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn schedule(catch_up: CatchUp) -> Schedule {
        let every = SignedDuration::from_hours(1);
        Schedule { name: "test", every, catch_up, add: |_, _| async { Ok(()) }.boxed() }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn every_process_finds_the_same_ticks() {
        let schedule = schedule(CatchUp::Once);
        let hour = at("2026-11-24T02:00:00Z");
        assert_eq!(schedule.tick(hour), hour);
        assert_eq!(schedule.tick(at("2026-11-24T02:59:59.999Z")), hour);
        assert_eq!(schedule.tick(at("2026-11-24T03:00:00Z")), at("2026-11-24T03:00:00Z"));
        assert_eq!(schedule.next(hour), at("2026-11-24T03:00:00Z"));
    }

    #[test]
    fn what_was_missed_is_caught_up_by_the_rule() {
        let (before, tick) = (at("2026-11-24T02:00:00Z"), at("2026-11-24T05:00:00Z"));
        assert_eq!(schedule(CatchUp::Once).due(Some(before), tick), [tick]);
        let each = schedule(CatchUp::Each);
        let hours = ["03", "04", "05"].map(|hour| at(&format!("2026-11-24T{hour}:00:00Z")));
        assert_eq!(each.due(Some(before), tick), hours);
        // The first ever.
        assert_eq!(each.due(None, tick), [tick]);
        let long = each.due(Some(at("2020-01-01T00:00:00Z")), tick);
        assert_eq!((long.len(), long.last()), (EACH_MAX, Some(&tick)));
    }
}
