//! Batches that came in → hours → days → billing periods → quotas, until nothing is left to do.
//!
//! Each step is one transaction of the database: killed anywhere, what was not done still waits, and what was done
//! is marked as such in the same transaction.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};

use limits::{CellKey, Counted};
use store::usage_rollup::{self, QuotaUsed};
use tokio::sync::Mutex;

use crate::app::App;

/// Batches added to the hours in one transaction: enough for counts of the same hour to become one, few enough
/// for memory.
const BATCHES_MAX: u16 = 64;
/// Days computed in one transaction.
const DAYS_MAX: u32 = 20_000;
/// Cells raised in one go.
const CELLS_MAX: usize = 500;

/// One roll-up a process: a second one would wait for the first, and hold a connection meanwhile.
#[derive(Debug, Default)]
pub(crate) struct OneAtATime {
    running: Mutex<()>,
    /// More has come in since the one that runs began.
    more: AtomicBool,
}

/// Rolls up all there is, or leaves it to the roll-up that runs already.
pub(crate) async fn roll_up(app: &App) -> anyhow::Result<()> {
    let turn = &app.roll_up;
    turn.more.store(true, Ordering::SeqCst);
    // Looked at again when the lock is free: what came in just before that is seen by one or the other.
    while turn.more.load(Ordering::SeqCst) {
        let Ok(_running) = turn.running.try_lock() else { return Ok(()) };
        while turn.more.swap(false, Ordering::SeqCst) {
            if let Err(error) = all(app).await {
                turn.more.store(true, Ordering::SeqCst);
                return Err(error);
            }
        }
    }
    Ok(())
}

async fn all(app: &App) -> anyhow::Result<()> {
    loop {
        let folded = usage_rollup::fold(&app.store, BATCHES_MAX).await?;
        app.metrics.rolled_up(folded.rows);
        let settled = usage_rollup::settle(&app.store, DAYS_MAX).await?;
        for quotas in settled.quotas.chunks(CELLS_MAX) {
            raise(app, quotas).await;
        }
        raise_all_if_forgotten(app).await?;
        let more = folded.batches == u64::from(BATCHES_MAX) || settled.days == u64::from(DAYS_MAX);
        if !more {
            return Ok(());
        }
    }
}

/// Redis has lost its memory: then all quotas are raised, not only those that are counted from now on.
async fn raise_all_if_forgotten(app: &App) -> anyhow::Result<()> {
    // While Redis is away there is nothing to raise; when it is back, it remembers or not.
    if app.quotas.remembers().await.unwrap_or(true) {
        return Ok(());
    }
    let mut raised = true;
    for quotas in usage_rollup::quotas(&app.store).await?.chunks(CELLS_MAX) {
        raised &= raise(app, quotas).await;
    }
    if raised && let Err(error) = app.quotas.note_all_raised().await {
        tracing::warn!(%error, "quotas will be raised again: {error}");
    }
    Ok(())
}

/// Has quotas know what was counted; whether they do.
async fn raise(app: &App, quotas: &[QuotaUsed]) -> bool {
    let cells: Vec<Counted> = quotas.iter().filter_map(cell).collect();
    match app.quotas.raise(&cells).await {
        Ok(0) => true,
        Ok(raised) => {
            tracing::info!(raised, "{raised} quotas were raised to what was counted");
            true
        }
        Err(error) => {
            tracing::warn!(%error, "quotas do not know what was counted: {error}");
            false
        }
    }
}

fn cell(quota: &QuotaUsed) -> Option<Counted> {
    let tenant = quota.tenant_id.as_uuid().as_u128();
    Some(Counted {
        key: CellKey::quota(tenant, quota.meter.as_str(), quota.period.start.as_second()),
        permits: quota.permits,
        ends_at: u64::try_from(quota.period.end.as_second()).unwrap_or(0),
        used: NonZeroU64::new(quota.used)?,
    })
}
