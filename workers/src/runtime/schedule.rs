//! Jobs that come by the clock. Every process offers each of them at its time; the job's key lets one through.
//! After a downtime a job runs once, not once for each time that was missed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jobs::catalog::{Job, Usage};
use jobs::{Options, enqueue};
use tokio::time::{MissedTickBehavior, interval};

use crate::app::App;

/// How exact the times are.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A job and how often it runs, in seconds of Unix time. Below a day: so long are keys of jobs remembered.
struct Schedule {
    name: &'static str,
    every_seconds: i64,
    job: Usage,
}

const SCHEDULES: [Schedule; 3] = [
    // The net under the jobs that come with each batch.
    Schedule { name: "roll up usage", every_seconds: 60, job: Usage::RollUp },
    Schedule { name: "check usage", every_seconds: 3_600, job: Usage::Check },
    Schedule { name: "keep up usage", every_seconds: 6 * 3_600, job: Usage::KeepUp },
];

/// Runs until the process ends.
pub(crate) async fn run(app: Arc<App>) {
    let mut offered = SCHEDULES.map(|_| Timestamp::MIN);
    let mut interval = interval(LOOK_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let now = app.clock.now();
        for (schedule, offered) in SCHEDULES.iter().zip(&mut offered) {
            let tick = tick(now, schedule.every_seconds);
            if tick == *offered {
                continue;
            }
            match offer(&app, &schedule.job, &format!("{} {tick}", schedule.name)).await {
                Ok(()) => *offered = tick,
                Err(error) => tracing::warn!("\"{}\" cannot be scheduled: {error}", schedule.name),
            }
        }
    }
}

async fn offer(app: &App, job: &impl Job, key: &str) -> Result<(), store::Error> {
    let mut tx = app.store.control().await?;
    enqueue(&mut tx, job, Options { idempotency_key: Some(key), ..Options::default() }).await?;
    tx.commit().await?;
    Ok(())
}

/// The last time that was due.
fn tick(now: Timestamp, every_seconds: i64) -> Timestamp {
    let second = now.as_second().div_euclid(every_seconds) * every_seconds;
    Timestamp::from_second(second).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_finds_the_same_times() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let hour = at("2026-11-24T02:00:00Z");
        assert_eq!(tick(hour, 3_600), hour);
        assert_eq!(tick(at("2026-11-24T02:59:59.999Z"), 3_600), hour);
        assert_eq!(tick(at("2026-11-24T03:00:00Z"), 3_600), at("2026-11-24T03:00:00Z"));
        assert!(SCHEDULES.iter().all(|schedule| schedule.every_seconds < 86_400));
    }
}
