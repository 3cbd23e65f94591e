//! When a worker looks for jobs: when it is told of one, and four times a second regardless.
//!
//! The library's strategies register no waker after they fire, so that a worker could sleep until its
//! heartbeat (measured: 29 s). This one is polled until it waits, so a waker is always registered.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::backend::ext::poll_strategy::{PollSnapshot, PollStrategy};
use futures::task::AtomicWaker;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The longest that a lost wake-up delays a job; also how exact `run_at` is.
const PERIOD: Duration = Duration::from_millis(200);

/// Wake-ups of the listener, and a short interval.
#[derive(Debug)]
pub(crate) struct WakeOrInterval {
    waker: Arc<AtomicWaker>,
    interval: Interval,
}

impl WakeOrInterval {
    /// Woken through `waker`.
    pub(crate) fn new(waker: Arc<AtomicWaker>) -> Self {
        let mut interval = interval(PERIOD);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { waker, interval }
    }
}

impl PollStrategy for WakeOrInterval {
    fn poll_drive(&mut self, context: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        self.waker.register(context.waker());
        while self.interval.poll_tick(context).is_ready() {}
        // The backend is polled whatever is answered here; what counts is that a waker is left behind.
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Drives the strategy once, as a worker does, and sleeps until somebody wakes it.
    async fn sleep(strategy: &mut WakeOrInterval) {
        let snapshot = PollSnapshot {
            consecutive_ready: 0,
            total_ready: 0,
            total_pending: 0,
            idle_for: Duration::ZERO,
        };
        let mut driven = false;
        poll_fn(|context| {
            if std::mem::replace(&mut driven, true) {
                return Poll::Ready(());
            }
            let _ = strategy.poll_drive(context, &snapshot);
            Poll::Pending
        })
        .await;
    }

    #[tokio::test]
    async fn the_interval_wakes_every_time() {
        let mut strategy = WakeOrInterval::new(Arc::default());
        for _ in 0..3 {
            sleep(&mut strategy).await;
        }
    }

    #[tokio::test]
    async fn a_wake_up_wakes_every_time() {
        let waker = Arc::new(AtomicWaker::new());
        let mut strategy = WakeOrInterval::new(waker.clone());
        strategy.interval = interval(Duration::from_hours(1));
        strategy.interval.tick().await;
        for _ in 0..3 {
            let waker = waker.clone();
            let waking = async {
                tokio::task::yield_now().await;
                waker.wake();
            };
            tokio::join!(sleep(&mut strategy), waking);
        }
    }
}
