//! Tells that the workers of this process live: of its own, because the library's heartbeat waits for a busy worker.
//! Hands back what workers held that ended in an error, and takes over from workers of processes that died.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::app::App;
use crate::runtime::fleet::Fleet;

/// Heartbeats in the time of silence after which a worker is taken for dead.
const BEATS_IN_SILENCE: u32 = 6;

/// Runs until the process ends.
pub(crate) async fn run(app: Arc<App>, fleet: Arc<Fleet>) {
    let silence = app.limits.silence;
    let pause = silence / BEATS_IN_SILENCE;
    let queues = fleet.queues();
    let mut interval = interval(pause);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut rhythm = Rhythm::new(silence);
    loop {
        interval.tick().await;
        let outcome = timeout(pause, beat(&app, &fleet)).await;
        let now = Instant::now();
        match outcome {
            Ok(Ok(())) => rhythm.kept(now),
            Ok(Err(error)) => tracing::warn!("a heartbeat failed: {error}"),
            Err(_) => tracing::warn!("a heartbeat took longer than {pause:?}"),
        }
        if !rhythm.is_steady(now) {
            continue;
        }
        match jobs::queue::take_over(app.upkeep.pool(), &queues, silence).await {
            Ok(0) => {}
            Ok(jobs) => tracing::warn!(jobs, "took over {jobs} jobs of workers that are silent"),
            Err(error) => tracing::warn!("jobs of silent workers are not taken over: {error}"),
        }
    }
}

async fn beat(app: &App, fleet: &Fleet) -> Result<(), store::Error> {
    let pool = app.upkeep.pool();
    jobs::queue::keep_alive(pool, &fleet.living()).await?;
    for worker in fleet.idle_ended() {
        let jobs = jobs::queue::hand_back(pool, &worker).await?;
        fleet.forget(&worker);
        tracing::info!(jobs, "handed back {jobs} jobs of worker {worker}, which had ended");
    }
    Ok(())
}

/// Whether this process may call others dead: only if its own heartbeats have got through all the while. After an
/// outage of the database all workers look silent, and are not.
struct Rhythm {
    silence: Duration,
    /// Since when no heartbeat was missed.
    since: Option<Instant>,
    last: Option<Instant>,
}

impl Rhythm {
    const fn new(silence: Duration) -> Self {
        Self { silence, since: None, last: None }
    }

    fn kept(&mut self, now: Instant) {
        let gap_max = self.silence / 2;
        if self.last.is_none_or(|last| now - last > gap_max) {
            self.since = Some(now);
        }
        self.last = Some(now);
    }

    fn is_steady(&self, now: Instant) -> bool {
        // Of the last beat: one that fails just now proves nothing.
        self.last == Some(now) && self.since.is_some_and(|since| now - since >= self.silence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_kept_the_rhythm_calls_others_dead() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut rhythm = Rhythm::new(Duration::from_secs(30));
        let mut steady = |beats: &[u64]| {
            beats.iter().for_each(|beat| rhythm.kept(at(*beat)));
            rhythm.is_steady(at(*beats.last().expect("a beat")))
        };
        assert!(!steady(&[0, 5, 10, 15, 20, 25]));
        assert!(steady(&[30]));
        // The database was away for a while: everybody looks silent.
        assert!(!steady(&[60, 65, 70, 75, 80, 85]));
        assert!(steady(&[90]));
        // The beat of this moment did not get through.
        assert!(!rhythm.is_steady(at(95)));
    }
}
