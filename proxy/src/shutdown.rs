//! Stopping: no new connections, running requests finish within the grace period, what is held is given back.
//! Pingora alone would always sit out the whole grace period.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use limits::Limiter;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch, ShutdownWatch};
use pingora::services::background::BackgroundService;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::access_log::AccessLog;
use crate::metrics::Metrics;

/// Time for requests that were on their way when the signal came to be counted.
const SETTLE: Duration = Duration::from_millis(100);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// SIGTERM and SIGINT both stop gracefully.
pub(crate) struct Signals;

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            tracing::error!("signals cannot be watched; stopping rather than running unstoppable");
            return ShutdownSignal::GracefulTerminate;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        ShutdownSignal::GracefulTerminate
    }
}

/// Serves leases while the edge runs, and gives them back when it stops.
pub(crate) struct Leases {
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) redis: limits::Server,
    pub(crate) returned: Arc<AtomicBool>,
    pub(crate) metrics: Arc<Metrics>,
}

#[async_trait]
impl BackgroundService for Leases {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let stop = async {
            // The sender lives as long as the server, so an error means the same as the signal.
            let _ = shutdown.wait_for(|stopping| *stopping).await;
            idle(&self.metrics).await;
        };
        self.limiter.run(self.redis.clone(), stop).await;
        self.returned.store(true, Ordering::Release);
    }
}

/// Ends the process as soon as nothing is left to do.
pub(crate) struct Exit {
    pub(crate) returned: Arc<AtomicBool>,
    /// Set when usage was handed over, or given up on for now.
    pub(crate) shipped: Arc<AtomicBool>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access_log: Arc<AccessLog>,
}

#[async_trait]
impl BackgroundService for Exit {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        if shutdown.wait_for(|stopping| *stopping).await.is_err() {
            return;
        }
        idle(&self.metrics).await;
        while !(self.returned.load(Ordering::Acquire) && self.shipped.load(Ordering::Acquire)) {
            sleep(LOOK_INTERVAL).await;
        }
        self.access_log.last_flush();
        tracing::info!("stopped: every request was answered");
        std::process::exit(0);
    }
}

/// Done when no request is being served.
pub(crate) async fn idle(metrics: &Metrics) {
    sleep(SETTLE).await;
    while metrics.in_flight.get() > 0 {
        sleep(LOOK_INTERVAL).await;
    }
}
