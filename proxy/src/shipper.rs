//! Hands over what was counted: seals the spool each second, submits what is sealed in its order, forgets it once
//! it is kept. What a killed predecessor left goes the same way. While Postgres is away, batches wait on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::clock::{Clock, SystemClock};
use feed::{Progress, UsageError, UsageSink};
use jiff::{SignedDuration, Timestamp};
use metering::{Boot, Pending, Spool, SpoolError};
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::metrics::Metrics;
use crate::shutdown::idle;

/// How often the shipper looks whether there is something to do.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How long counts wait to be sealed.
const SEAL_INTERVAL: SignedDuration = SignedDuration::from_secs(1);
/// The same while batches cannot be handed over, so that fewer of them pile up.
const SEAL_INTERVAL_WAITING: SignedDuration = SignedDuration::from_secs(20);
/// How often it is told how far the edge is, when nothing was counted.
const REPORT_INTERVAL: SignedDuration = SignedDuration::from_secs(5);
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// How long a stopping edge tries to hand over the rest; the next start does it otherwise.
const LAST_SHIPMENT_MAX: Duration = Duration::from_secs(5);

/// What keeps usage from being handed over.
#[derive(Debug, thiserror::Error)]
enum ShipError {
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("the disk's thread ended")]
    Thread(#[from] JoinError),
}

/// Ships the spool, as long as the edge runs.
pub(crate) struct Shipper {
    pub(crate) spool: Arc<Spool>,
    pub(crate) boot_id: Uuid,
    /// For one user: the service itself.
    pub(crate) sink: tokio::sync::Mutex<UsageSink>,
    pub(crate) metrics: Arc<Metrics>,
    /// Set when nothing more will be shipped.
    pub(crate) done: Arc<AtomicBool>,
}

/// How far this process is.
struct State {
    sealed_at: Timestamp,
    reported_at: Timestamp,
    last_number: Option<u64>,
    total: u64,
    /// The last shipment did not go through.
    waiting: bool,
}

#[async_trait]
impl BackgroundService for Shipper {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut state = State {
            sealed_at: SystemClock.now(),
            reported_at: Timestamp::MIN,
            last_number: None,
            total: 0,
            waiting: false,
        };
        let stop = async {
            // The sender lives as long as the server, so an error means the same as the signal.
            let _ = shutdown.wait_for(|stopping| *stopping).await;
            idle(&self.metrics).await;
        };
        tokio::select! {
            () = self.ship_for_ever(&mut state) => {}
            () = stop => {}
        }
        match timeout(LAST_SHIPMENT_MAX, self.ship_the_rest(&mut state)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "usage waits for the next start: {error}"),
            Err(_) => tracing::warn!("usage waits for the next start: Postgres is slow"),
        }
        self.done.store(true, Ordering::Release);
    }
}

impl Shipper {
    async fn ship_for_ever(&self, state: &mut State) {
        let mut pause = PAUSE_MIN;
        loop {
            sleep(LOOK_INTERVAL).await;
            let now = SystemClock.now();
            let sealed = match self.seal_if_due(state, now).await {
                Ok(sealed) => sealed,
                Err(error) => {
                    tracing::error!(%error, "usage is counted on in the same file: {error}");
                    true
                }
            };
            let report_due = now.duration_since(state.reported_at) >= REPORT_INTERVAL;
            if !(sealed || report_due || state.waiting) {
                continue;
            }
            let outcome = self.ship(state, false).await;
            if let Err(error) = &outcome {
                if !state.waiting {
                    tracing::warn!(%error, "usage waits on disk: {error}");
                }
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            } else {
                pause = PAUSE_MIN;
            }
            state.waiting = outcome.is_err();
        }
    }

    /// Seals when it is time: also at the end of a minute, since counts belong to the minute of their batch.
    async fn seal_if_due(&self, state: &mut State, now: Timestamp) -> Result<bool, ShipError> {
        let interval = if state.waiting { SEAL_INTERVAL_WAITING } else { SEAL_INTERVAL };
        let another_minute = minute(now) != minute(state.sealed_at);
        let due = now.duration_since(state.sealed_at) >= interval;
        if !(due || another_minute || self.spool.wants_sealing()) {
            return Ok(false);
        }
        state.sealed_at = now;
        let spool = Arc::clone(&self.spool);
        Ok(spawn_blocking(move || spool.seal(now)).await??.is_some())
    }

    /// Hands over all that is sealed, and tells how far that is.
    async fn ship(&self, state: &mut State, ended: bool) -> Result<(), ShipError> {
        // Asked first: then every batch of an earlier minute is in the list.
        let watermark = self.spool.watermark();
        let spool = Arc::clone(&self.spool);
        let boots = spawn_blocking(move || spool.pending()).await??;
        let mut sink = self.sink.lock().await;
        for Boot { boot_id, batches, predecessor } in boots {
            let mut newest = None;
            for pending in batches {
                newest = self.hand_over(&mut sink, pending).await?.or(newest);
            }
            let edge_id = self.spool.edge_id();
            if let Some(predecessor) = predecessor {
                let (last_number, total) = newest.unzip();
                let progress = Progress {
                    edge_id,
                    boot_id,
                    watermark: predecessor.last_minute.unwrap_or(0),
                    last_number,
                    total: total.unwrap_or(0),
                    ended: true,
                };
                sink.report(&progress).await?;
                predecessor.remove()?;
                tracing::info!(%boot_id, "usage of a process that ended before was handed over");
            } else if let Some((number, total)) = newest {
                (state.last_number, state.total) = (Some(number), total);
            }
        }
        let progress = Progress {
            edge_id: self.spool.edge_id(),
            boot_id: self.boot_id,
            watermark,
            last_number: state.last_number,
            total: state.total,
            ended,
        };
        sink.report(&progress).await?;
        state.reported_at = SystemClock.now();
        self.metrics.usage.reported(watermark);
        Ok(())
    }

    /// Hands over one batch, and forgets it. Its number, and what was counted up to it; `None` where the file is
    /// not what was written.
    async fn hand_over(
        &self,
        sink: &mut UsageSink,
        pending: Pending,
    ) -> Result<Option<(u64, u64)>, ShipError> {
        let (pending, read) = spawn_blocking(move || {
            let read = pending.read();
            (pending, read)
        })
        .await?;
        let batch = match read {
            Ok(batch) => batch,
            Err(error @ SpoolError::Damaged { .. }) => {
                tracing::error!(%error, "usage on disk is damaged and was set aside: {error}");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let new = sink.submit(&batch).await?;
        self.metrics.usage.shipped(new, batch.requests());
        spawn_blocking(move || pending.forget()).await??;
        Ok(Some((batch.number, batch.total_after())))
    }

    /// At the end: nobody counts any more.
    async fn ship_the_rest(&self, state: &mut State) -> Result<(), ShipError> {
        let (spool, now) = (Arc::clone(&self.spool), SystemClock.now());
        spawn_blocking(move || spool.seal(now)).await??;
        self.ship(state, true).await
    }
}

fn minute(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60)
}
