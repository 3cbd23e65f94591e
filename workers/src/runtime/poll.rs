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
