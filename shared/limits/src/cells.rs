//! The cells that this edge knows, by key: each with its own gate, its lease and, while Redis is away, its
//! share of the limit.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::Notify;

use crate::gcra::{Gcra, Rate};
use crate::lease::Lease;

/// Shards of the map, so that threads seldom meet.
const SHARDS: usize = 64;
/// How long an unused cell is kept.
const IDLE_US: u64 = 60_000_000;

/// Names a cell. The caller says what the numbers mean; equal keys share a limit in every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellKey {
    /// What is limited, e.g. `tenant`; part of the key in Redis.
    pub space: &'static str,
    /// Which one.
    pub id: u128,
    /// Which part of it, where it has parts.
    pub part: u64,
}

impl Hash for CellKey {
    /// Without the space: whose ids are alike is told apart by `Eq`, and few are.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.id);
        state.write_u64(self.part);
    }
}

/// A cell and who waits for it.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) key: CellKey,
    state: Mutex<CellState>,
    pub(crate) answered: Notify,
}

#[derive(Debug)]
pub(crate) struct CellState {
    pub(crate) rate: Rate,
    /// Everything that this edge admitted. It makes a lone edge exact whatever the leases do.
    pub(crate) gate: Gcra,
    pub(crate) lease: Lease,
    /// Whether Redis has been asked and has not answered.
    pub(crate) asked: bool,
    /// How many requests wait for the answer.
    pub(crate) waiting: u64,
    /// Permits admitted while Redis was away, to be debited when it is back.
    pub(crate) debt: u64,
    share: Option<Share>,
    used_us: u64,
}

/// This edge's part of a limit during one outage.
#[derive(Debug)]
struct Share {
    outage: u64,
    limiter: Option<DefaultDirectRateLimiter>,
}

impl Cell {
    pub(crate) fn lock(&self) -> MutexGuard<'_, CellState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CellState {
    /// Notes a use at `now_us` under `rate`, which may have changed with the plan.
    pub(crate) const fn touch(&mut self, rate: Rate, now_us: u64) {
        self.rate = rate;
        self.used_us = now_us;
    }

    /// Books an admission at the gate.
    pub(crate) fn admit(&mut self, now_us: u64) {
        self.gate.take_one(self.rate, now_us);
    }

    /// Takes a permit of this edge's share of the limit, in the outage numbered `outage`; else the time to
    /// wait. What was admitted just before counts against it.
    pub(crate) fn take_of_share(
        &mut self,
        outage: u64,
        permits: Option<NonZeroU32>,
        now_us: u64,
    ) -> Result<(), u64> {
        if self.share.as_ref().is_none_or(|share| share.outage != outage) {
            let used = self.used_of_share(permits.map_or(0, |p| u64::from(p.get())), now_us);
            self.share = Some(Share::new(outage, permits, used));
        }
        let limiter = self.share.as_ref().and_then(|share| share.limiter.as_ref());
        let Some(limiter) = limiter else { return Err(self.rate.interval_us()) };
        limiter.check().map_err(|refusal| {
            let wait = refusal.wait_time_from(DefaultClock::default().now());
            u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)
        })
    }

    /// How much of a share of `permits` is gone at the start of an outage: what this edge admitted lately, or
    /// its part of what all edges together had, as Redis last told, whichever is more.
    fn used_of_share(&self, permits: u64, now_us: u64) -> u64 {
        let burst = self.rate.burst();
        let own = burst - self.gate.available(self.rate, now_us);
        let all = burst - self.lease.known_left(self.rate, now_us);
        own.max((all * permits).div_ceil(burst))
    }

    fn idle(&self, now_us: u64) -> bool {
        !self.asked
            && self.debt == 0
            && self.lease.held() == 0
            && self.used_us + IDLE_US < now_us
            && self.gate.full_after_us(now_us) == 0
    }
}

impl Share {
    fn new(outage: u64, permits: Option<NonZeroU32>, used: u64) -> Self {
        let limiter = permits.map(|permits| {
            let limiter = RateLimiter::direct(Quota::per_minute(permits));
            let used = u32::try_from(used).unwrap_or(u32::MAX).min(permits.get());
            if let Some(used) = NonZeroU32::new(used) {
                // Within the burst by construction, so this cannot be refused.
                let _ = limiter.check_n(used);
            }
            limiter
        });
        Self { outage, limiter }
    }
}

/// Which shard holds a cell. Whoever guessed ids of one shard would gain only that its threads meet; the map
/// in it hashes with a secret.
fn shard_of(key: CellKey) -> usize {
    let bytes = key.id.to_le_bytes().into_iter().chain(key.part.to_le_bytes());
    usize::from(bytes.fold(0, |mixed: u8, byte| mixed ^ byte)) % SHARDS
}

/// All cells.
#[derive(Debug)]
pub(crate) struct Cells {
    shards: Vec<RwLock<HashMap<CellKey, Arc<Cell>>>>,
}

impl Cells {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }

    /// The cell of `key`, made if it is new.
    pub(crate) fn get(&self, key: CellKey, rate: Rate) -> Arc<Cell> {
        let shard = &self.shards[shard_of(key)];
        if let Some(cell) = shard.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(cell);
        }
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(shard.entry(key).or_insert_with(|| {
            let state = CellState {
                rate,
                gate: Gcra::default(),
                lease: Lease::default(),
                asked: false,
                waiting: 0,
                debt: 0,
                share: None,
                used_us: 0,
            };
            Arc::new(Cell { key, state: Mutex::new(state), answered: Notify::new() })
        }))
    }

    /// Forgets cells that nobody uses, and answers those with something to settle in Redis.
    pub(crate) fn sweep(&self, now_us: u64, mut settle: impl FnMut(&Arc<Cell>, &mut CellState)) {
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, cell| {
                let mut state = cell.lock();
                settle(cell, &mut state);
                // Someone who holds the cell may be about to use it.
                Arc::strong_count(cell) > 1 || !state.idle(now_us)
            });
        }
    }

    /// How many cells are known.
    pub(crate) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).len())
            .sum()
    }
}
