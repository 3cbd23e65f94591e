//! Taking a permit of every limit that a request counts against, all or none.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::cells::{Cell, CellKey, CellState, Cells};
use crate::gcra::Rate;
use crate::lease::Supply;

/// Most limits of one request.
pub const DEMANDS_MAX: usize = 3;
/// Longest that a request waits for Redis.
pub const WAIT_MAX: Duration = Duration::from_millis(5);
/// After Redis was too slow once, how long it is not asked again.
const SLOW_PAUSE_US: u64 = 100_000;
/// How often a request asks again when others took the permits that it waited for.
const ROUNDS_MAX: usize = 16;
/// Cells that may wait to be asked for; past it requests fall back as if Redis were away.
const ASKS_MAX: usize = 4096;

/// A limit that a request counts against.
#[derive(Debug, Clone, Copy)]
pub struct Demand {
    /// Whose limit.
    pub key: CellKey,
    /// Calls a minute.
    pub per_minute: NonZeroU32,
    /// The limit's name, as the caller of the API reads it.
    pub policy: &'static str,
}

/// All limits of one request.
pub type Demands = [Option<Demand>; DEMANDS_MAX];

/// How one limit stands after the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The limit's name.
    pub policy: &'static str,
    /// Calls a minute.
    pub quota: u64,
    /// Calls that can be made at once.
    pub remaining: u64,
    /// Time until it is whole again; for the violated limit, until the next call.
    pub reset: Duration,
}

/// The decision: how every limit stands, and which one refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// One for each demand.
    pub standings: [Option<Standing>; DEMANDS_MAX],
    /// `None`: a permit of each was taken. Else nothing was.
    pub refusal: Option<Refusal>,
}

/// Which limit refuses, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The limit's name.
    pub policy: &'static str,
    /// Calls a minute that it allows.
    pub quota: u64,
    /// Time after which one call will pass.
    pub retry_after: Duration,
}

/// What the limiter counts about itself.
#[derive(Debug, Default)]
pub struct Health {
    /// Whether Redis is connected.
    pub connected: AtomicBool,
    /// Leases asked for.
    pub leases: AtomicU64,
    /// Requests decided without Redis because it was away or slow.
    pub fallbacks: AtomicU64,
    /// Times Redis was found away or slow.
    pub outages: AtomicU64,
    /// Edges alive, this one included.
    pub edges: AtomicU64,
}

/// The limits as this edge sees them.
#[derive(Debug)]
pub struct Limiter {
    pub(crate) cells: Cells,
    pub(crate) health: Health,
    /// Where this edge stands among the living, from 0.
    pub(crate) rank: AtomicU64,
    pub(crate) asks: mpsc::Sender<Arc<Cell>>,
    pub(crate) asked: tokio::sync::Mutex<mpsc::Receiver<Arc<Cell>>>,
    pub(crate) key_prefix: String,
    pub(crate) edge_id: String,
    started: Instant,
    ask_again_us: AtomicU64,
}

/// A demand with its cell.
type Taking = [Option<(Demand, Arc<Cell>)>; DEMANDS_MAX];

enum Step {
    Settled(Verdict),
    Dry,
}

/// Takes a permit of each of `demands`, or of none. Waits for Redis at most [`WAIT_MAX`].
pub async fn take(limiter: &Limiter, mut demands: Demands) -> Verdict {
    // Cells are locked in the order of their keys, so that no two requests wait for each other.
    demands.sort_unstable_by_key(|demand| demand.map(|demand| demand.key));
    let taking = demands.map(|demand| {
        demand.map(|d| (d, limiter.cells.get(d.key, Rate::per_minute(d.per_minute))))
    });
    if let Step::Settled(verdict) = limiter.try_take(&taking) {
        return verdict;
    }
    // Boxed: rarely gone, and large; the caller's future stays small.
    Box::pin(limiter.take_by_asking(&taking)).await
}

impl Limiter {
    /// A limiter whose cells in Redis start with `key_prefix`; `edge_id` tells this edge from others.
    /// Until [`Limiter::run`] has connected it decides alone.
    #[must_use]
    pub fn new(key_prefix: &str, edge_id: String) -> Self {
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        let health = Health { edges: AtomicU64::new(1), ..Health::default() };
        Self {
            cells: Cells::new(),
            health,
            rank: AtomicU64::new(0),
            asks,
            asked: tokio::sync::Mutex::new(asked),
            key_prefix: key_prefix.to_owned(),
            edge_id,
            started: Instant::now(),
            ask_again_us: AtomicU64::new(0),
        }
    }

    /// What the limiter counts about itself.
    #[must_use]
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// How many cells this edge holds in memory.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.cells.len()
    }

    pub(crate) fn now_us(&self) -> u64 {
        self.clock()()
    }

    /// The clock that cells are kept by, to be read later.
    pub(crate) fn clock(&self) -> impl Fn() -> u64 + Send + use<> {
        let started = self.started;
        // Starts well above zero, so that a cell never used is in the past. 500,000 years fit.
        move || u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX) + 1_000_000
    }

    /// Decides from what is here. Nothing is taken unless every limit yields.
    fn try_take(&self, taking: &Taking) -> Step {
        let mut held =
            taking.each_ref().map(|slot| slot.as_ref().map(|(d, cell)| (d, cell, cell.lock())));
        let now_us = self.now_us();
        let mut wait: Option<(Refusal, u64)> = None;
        let mut dry = false;
        for (demand, _, state) in held.iter_mut().flatten() {
            state.touch(Rate::per_minute(demand.per_minute), now_us);
            let mut wait_us = state.gate.wait_us(state.rate, now_us);
            match state.lease.supply(now_us) {
                Supply::Denied { until_us } => wait_us = wait_us.max(until_us - now_us),
                Supply::Dry => dry = true,
                Supply::Ready => {}
            }
            if wait_us > 0 && wait.is_none_or(|(_, longest_us)| wait_us > longest_us) {
                wait = Some((refusal(demand, state, wait_us), wait_us));
            }
        }
        let refusal = wait.map(|(refusal, _)| refusal);
        if refusal.is_none() {
            if dry {
                return Step::Dry;
            }
            for (_, cell, state) in held.iter_mut().flatten() {
                state.admit(now_us);
                if state.lease.spend() && !state.asked {
                    state.asked = self.asks.try_send(Arc::clone(cell)).is_ok();
                }
            }
        }
        let standings = held
            .map(|slot| slot.map(|(demand, _, state)| standing(demand, &state, refusal, now_us)));
        Step::Settled(Verdict { standings, refusal })
    }

    /// Decides with Redis' help, or alone when that does not come in time.
    async fn take_by_asking(&self, taking: &Taking) -> Verdict {
        let deadline = tokio::time::Instant::now() + WAIT_MAX;
        for _ in 0..ROUNDS_MAX {
            if !self.ask_and_wait(taking, deadline).await {
                break;
            }
            if let Step::Settled(verdict) = self.try_take(taking) {
                return verdict;
            }
        }
        self.take_of_shares(taking)
    }

    /// Asks Redis for what is dry and waits for the answers; false when none came in time.
    async fn ask_and_wait(&self, taking: &Taking, deadline: tokio::time::Instant) -> bool {
        let now_us = self.now_us();
        if !self.health.connected.load(Ordering::Relaxed)
            || now_us < self.ask_again_us.load(Ordering::Relaxed)
        {
            return false;
        }
        for (_, cell) in taking.iter().flatten() {
            let mut state = cell.lock();
            if state.lease.supply(now_us) == Supply::Dry && !state.asked {
                state.asked = self.asks.try_send(Arc::clone(cell)).is_ok();
                if !state.asked {
                    return false;
                }
            }
        }
        for (_, cell) in taking.iter().flatten() {
            let answered = cell.answered.notified();
            tokio::pin!(answered);
            // Listening before looking, so that an answer in between is not missed.
            answered.as_mut().enable();
            let waiting = {
                let mut state = cell.lock();
                state.waiting += u64::from(state.asked);
                state.asked
            };
            if waiting {
                let outcome = tokio::time::timeout_at(deadline, answered).await;
                cell.lock().waiting -= 1;
                if outcome.is_err() {
                    self.trouble();
                    return false;
                }
            }
        }
        self.health.connected.load(Ordering::Relaxed)
    }

    /// Notes that Redis is away or slow: a new outage, unless one is being sat out.
    pub(crate) fn trouble(&self) {
        let now_us = self.now_us();
        let previous_us = self.ask_again_us.fetch_max(now_us + SLOW_PAUSE_US, Ordering::Relaxed);
        if previous_us <= now_us {
            self.health.outages.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Decides alone: leases while they last, then this edge's share of each limit.
    fn take_of_shares(&self, taking: &Taking) -> Verdict {
        self.health.fallbacks.fetch_add(1, Ordering::Relaxed);
        let outage = self.health.outages.load(Ordering::Relaxed);
        let mut held =
            taking.each_ref().map(|slot| slot.as_ref().map(|(d, cell)| (d, cell.lock())));
        let now_us = self.now_us();
        let mut found = None;
        for (demand, state) in held.iter_mut().flatten() {
            state.touch(Rate::per_minute(demand.per_minute), now_us);
            let mut wait_us = state.gate.wait_us(state.rate, now_us);
            if let Supply::Denied { until_us } = state.lease.supply(now_us) {
                wait_us = wait_us.max(until_us - now_us);
            }
            if wait_us > 0 {
                found = Some(refusal(demand, state, wait_us));
                break;
            }
        }
        // Shares are asked last: `governor` takes at once and cannot take back, so a later share's refusal
        // costs an earlier one a permit, in an outage only.
        for (demand, state) in held.iter_mut().flatten() {
            if found.is_none() && state.lease.supply(now_us) != Supply::Ready {
                let share = self.share(demand.per_minute);
                if let Err(wait_us) = state.take_of_share(outage, share, now_us) {
                    found = Some(refusal(demand, state, wait_us));
                }
            }
        }
        if found.is_none() {
            for (_, state) in held.iter_mut().flatten() {
                state.admit(now_us);
                if state.lease.supply(now_us) == Supply::Ready {
                    state.lease.spend();
                } else {
                    state.debt += 1;
                }
            }
        }
        let standings =
            held.map(|slot| slot.map(|(demand, state)| standing(demand, &state, found, now_us)));
        Verdict { standings, refusal: found }
    }

    /// This edge's part of a limit: its even share, and one of what is left over for the first few.
    fn share(&self, per_minute: NonZeroU32) -> Option<NonZeroU32> {
        let edges = self.health.edges.load(Ordering::Relaxed).max(1);
        let limit = u64::from(per_minute.get());
        let over = u64::from(self.rank.load(Ordering::Relaxed) < limit % edges);
        u32::try_from(limit / edges + over).ok().and_then(NonZeroU32::new)
    }
}

fn refusal(demand: &Demand, state: &CellState, wait_us: u64) -> Refusal {
    Refusal {
        policy: demand.policy,
        quota: state.rate.burst(),
        retry_after: Duration::from_micros(wait_us),
    }
}

fn standing(demand: &Demand, state: &CellState, refusal: Option<Refusal>, now_us: u64) -> Standing {
    let gate = state.gate.available(state.rate, now_us);
    let violated = refusal.filter(|refusal| refusal.policy == demand.policy);
    let left = match violated {
        Some(_) => 0,
        None => gate.min(state.lease.known_left(state.rate, now_us)),
    };
    let reset = violated.map_or_else(
        || Duration::from_micros(state.gate.full_after_us(now_us)),
        |refusal| refusal.retry_after,
    );
    Standing { policy: demand.policy, quota: state.rate.burst(), remaining: left, reset }
}

#[cfg(test)]
mod tests;
