//! Takes in how attempts went, as many at a time as have come in since the last: one statement for all of them.

use std::sync::Arc;
use std::time::Duration;

use store::webhook_dispatch::{self, Settlement};
use tokio::sync::mpsc::Receiver;
use tokio::time::sleep;

use crate::app::App;
use crate::webhooks::dispatch::Slots;

/// Attempts that are settled at once.
pub(super) const BATCH_MAX: usize = 256;
/// Pause before what could not be settled is tried again; doubles from there.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Runs until nobody sends any more. While the database is away, what was sent waits here: it was delivered, and should
/// not be again because nobody wrote it down.
pub(super) async fn run(app: Arc<App>, slots: Arc<Slots>, mut results: Receiver<Settlement>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while results.recv_many(&mut batch, BATCH_MAX).await > 0 {
        settle(&app, &batch).await;
        for settlement in batch.drain(..) {
            app.metrics.webhooks.delivered(settlement.outcome, settlement.took);
            slots.give_back();
        }
        // What an endpoint's limits held back may go now.
        app.webhooks.wake();
    }
}

async fn settle(app: &App, batch: &[Settlement]) {
    let mut pause = PAUSE_MIN;
    loop {
        match webhook_dispatch::settle(&app.runtime, batch).await {
            Ok(counted) => {
                let late = batch.len() - usize::try_from(counted).unwrap_or(batch.len());
                if late > 0 {
                    tracing::info!(late, "{late} attempts ended after their lease");
                }
                return;
            }
            Err(error @ store::Error::Unavailable(_)) => {
                tracing::warn!("attempts are not settled, again in {pause:?}: {error}");
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            // One of them cannot be stored: it must not keep the others from being.
            Err(error) if batch.len() > 1 => {
                tracing::warn!("attempts are settled one by one: {error}");
                for one in batch.chunks(1) {
                    Box::pin(settle(app, one)).await;
                }
                return;
            }
            // Its lease ends by itself.
            Err(error) => {
                let id = batch.first().map(|settlement| settlement.message_id);
                tracing::error!(message = ?id, "an attempt cannot be settled: {error}");
                return;
            }
        }
    }
}
