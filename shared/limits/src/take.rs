//! Taking a permit of every limit that a request counts against, all or none.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::mpsc;

use crate::cells::{Cell, Cells};
use crate::decide::{Alone, DEMANDS_MAX, Held, Part, Step, Verdict, from_leases, from_shares};
use crate::key::CellKey;
use crate::link::{Link, Mode, WAIT_MAX};
use crate::rule::{Drain, Rule};
use crate::share::Place;

/// How often a request asks again when others took the permits that it waited for.
const ROUNDS_MAX: usize = 16;
/// Cells that may wait to be asked for; past it requests fall back as if Redis were away.
const ASKS_MAX: usize = 4096;

/// A limit that a request counts against.
#[derive(Debug, Clone, Copy)]
pub struct Demand {
    /// Whose limit.
    pub key: CellKey,
    /// What it allows.
    pub rule: Rule,
    /// Permits that the request takes.
    pub cost: NonZeroU32,
    /// Count, but do not deny.
    pub shadow: bool,
}

/// All limits of one request.
pub type Demands = [Option<Demand>; DEMANDS_MAX];

/// What the limiter counts about itself.
#[derive(Debug, Default)]
pub struct Health {
    /// Questions asked of Redis.
    pub questions: AtomicU64,
    /// Requests that waited for Redis.
    pub waits: AtomicU64,
    /// Requests decided without Redis because it was away or slow.
    pub fallbacks: AtomicU64,
}

/// The limits as this edge sees them.
#[derive(Debug)]
pub struct Limiter {
    pub(crate) cells: Cells,
    pub(crate) link: Link,
    pub(crate) health: Health,
    /// Edges alive, and where this one stands among them.
    pub(crate) edges: AtomicU64,
    pub(crate) rank: AtomicU64,
    edges_min: u64,
    pub(crate) asks: mpsc::Sender<Arc<Cell>>,
    pub(crate) asked: tokio::sync::Mutex<mpsc::Receiver<Arc<Cell>>>,
    pub(crate) key_prefix: String,
    pub(crate) edge_id: String,
    started: Instant,
}

/// What a request has taken that comes back when it ends: keep it until then.
#[derive(Debug)]
pub struct InProgress {
    cell: Arc<Cell>,
    cost: u64,
    asks: mpsc::Sender<Arc<Cell>>,
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let mut state = self.cell.lock();
        let rule = state.rule;
        if state.lease.release(rule, self.cost) && !state.asked {
            state.asked = self.asks.try_send(Arc::clone(&self.cell)).is_ok();
        }
    }
}

/// Permits that a request waits for, for as long as it does: it may be dropped while it waits.
struct Waiting<'c> {
    cell: &'c Cell,
    cost: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.cell.lock();
        state.waiting = state.waiting.saturating_sub(self.cost);
    }
}

/// The demands with their cells, in the order in which cells are locked: that of their keys, so that no two
/// requests wait for each other. With each the place of its demand.
type Taking = [Option<(Demand, Arc<Cell>, usize)>; DEMANDS_MAX];

/// Takes permits of each of `demands`, or of none. Waits for Redis at most [`WAIT_MAX`]. Of a limit of requests
/// in progress, what was taken is given back when the answer's second part is dropped.
pub async fn take(limiter: &Limiter, demands: &Demands) -> (Verdict, Option<InProgress>) {
    let now_us = limiter.now_us();
    let mut taking: Taking = [const { None }; DEMANDS_MAX];
    for (place, demand) in demands.iter().enumerate() {
        let Some(demand) = demand else { continue };
        taking[place] = Some((*demand, limiter.cells.get(demand.key, demand.rule, now_us), place));
    }
    taking.sort_unstable_by_key(|slot| slot.as_ref().map(|(demand, ..)| demand.key));
    let verdict = match limiter.try_take(&taking, now_us) {
        Step::Settled(verdict) => verdict,
        // Boxed: rarely gone, and large; the caller's future stays small.
        Step::Dry => Box::pin(limiter.take_by_asking(&taking)).await,
    };
    (in_order(verdict, &taking), limiter.in_progress(&taking, &verdict))
}

impl Limiter {
    /// A limiter whose cells in Redis start with `key_prefix`; `edge_id` tells this edge from others. Without
    /// Redis it takes itself for one of at least `edges_min`. Until [`Limiter::run`] has connected it decides
    /// alone.
    #[must_use]
    pub fn new(key_prefix: &str, edge_id: String, edges_min: u64) -> Self {
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        Self {
            cells: Cells::new(),
            link: Link::new(),
            health: Health::default(),
            edges: AtomicU64::new(1),
            rank: AtomicU64::new(0),
            edges_min,
            asks,
            asked: tokio::sync::Mutex::new(asked),
            key_prefix: key_prefix.to_owned(),
            edge_id,
            started: Instant::now(),
        }
    }

    /// What the limiter counts about itself.
    #[must_use]
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// How limits are decided at present.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.link.mode()
    }

    /// How often Redis was found away or slow.
    #[must_use]
    pub fn outages(&self) -> u64 {
        self.link.outage()
    }

    /// Edges alive, this one included, as far as is known.
    #[must_use]
    pub fn edges(&self) -> u64 {
        self.edges.load(Ordering::Relaxed)
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
    fn try_take(&self, taking: &Taking, now_us: u64) -> Step {
        let mut held: Held<_> = lock(taking);
        let mut refill = [false; DEMANDS_MAX];
        let step = from_leases(&mut held, &mut refill, now_us);
        for (place, slot) in held.iter_mut().enumerate() {
            if let (true, Some((_, state)), Some((_, cell, _))) =
                (refill[place], slot, &taking[place])
                && !state.asked
            {
                state.asked = self.asks.try_send(Arc::clone(cell)).is_ok();
            }
        }
        step
    }

    /// Decides with Redis' help, or alone when that does not come in time.
    async fn take_by_asking(&self, taking: &Taking) -> Verdict {
        let deadline = tokio::time::Instant::now() + WAIT_MAX;
        for _ in 0..ROUNDS_MAX {
            if !self.ask_and_wait(taking, deadline).await {
                break;
            }
            if let Step::Settled(verdict) = self.try_take(taking, self.now_us()) {
                return verdict;
            }
        }
        self.health.fallbacks.fetch_add(1, Ordering::Relaxed);
        let edges = self.edges().max(self.edges_min);
        let place = Place { edges, rank: self.rank.load(Ordering::Relaxed) };
        let alone = Alone { outage: self.link.outage(), place, now_us: self.now_us() };
        let cells = taking.each_ref().map(|slot| slot.as_ref().map_or(0, |(d, ..)| d.key.number()));
        from_shares(&mut lock(taking), cells, alone)
    }

    /// Asks Redis for what is dry and waits for the answers; false when they will not come in time.
    async fn ask_and_wait(&self, taking: &Taking, deadline: tokio::time::Instant) -> bool {
        let mode = self.link.mode();
        if mode == Mode::Away {
            return false;
        }
        let now_us = self.now_us();
        for (demand, cell, _) in taking.iter().flatten() {
            let mut state = cell.lock();
            if state.is_dry(demand.cost.get().into(), now_us) && !state.asked {
                state.asked = self.asks.try_send(Arc::clone(cell)).is_ok();
                if !state.asked {
                    return false;
                }
            }
        }
        if mode == Mode::Slow {
            return false;
        }
        self.health.waits.fetch_add(1, Ordering::Relaxed);
        for (demand, cell, _) in taking.iter().flatten() {
            if !Self::wait(cell, demand.cost.get().into(), now_us, deadline).await {
                self.link.slow(self.now_us());
                return false;
            }
        }
        self.link.mode() == Mode::Leasing
    }

    /// Waits for the answer about one cell, if one is under way; false when it does not come in time.
    async fn wait(cell: &Cell, cost: u64, now_us: u64, deadline: tokio::time::Instant) -> bool {
        let answered = cell.answered.notified();
        tokio::pin!(answered);
        // Listening before looking, so that an answer in between is not missed.
        answered.as_mut().enable();
        let waiting = {
            let mut state = cell.lock();
            // What is asked for ahead of need is not waited for.
            if !state.asked || !state.is_dry(cost, now_us) {
                return true;
            }
            state.waiting += cost;
            Waiting { cell, cost }
        };
        let outcome = tokio::time::timeout_at(deadline, answered).await;
        drop(waiting);
        outcome.is_ok()
    }

    /// Where this edge stands, as Redis last said.
    pub(crate) fn place(&self, (edges, rank): (u64, u64)) {
        self.edges.store(edges.max(1), Ordering::Relaxed);
        self.rank.store(rank, Ordering::Relaxed);
    }

    /// The slot that the request has taken, if it has taken one.
    fn in_progress(&self, taking: &Taking, verdict: &Verdict) -> Option<InProgress> {
        let slot = taking.iter().zip(verdict.taken).position(|(slot, taken)| {
            let demand = slot.as_ref().map(|(demand, ..)| demand).filter(|_| taken);
            demand.is_some_and(|demand| demand.rule.drain() == Drain::AtOnce)
        })?;
        let (demand, cell, _) = taking[slot].as_ref()?;
        let cost = u64::from(demand.cost.get());
        Some(InProgress { cell: Arc::clone(cell), cost, asks: self.asks.clone() })
    }
}

fn lock(taking: &Taking) -> Held<std::sync::MutexGuard<'_, crate::decide::CellState>> {
    taking.each_ref().map(|slot| {
        slot.as_ref().map(|(demand, cell, _)| {
            let Demand { rule, cost, shadow, .. } = *demand;
            (Part { rule, cost: cost.get().into(), shadow }, cell.lock())
        })
    })
}

/// The verdict with everything in the place of its demand.
fn in_order(verdict: Verdict, taking: &Taking) -> Verdict {
    let mut ordered = Verdict { refusal: verdict.refusal, ..Verdict::default() };
    for (from, slot) in taking.iter().enumerate() {
        let Some((_, _, to)) = slot else { continue };
        ordered.standings[*to] = verdict.standings[from];
        ordered.shadowed[*to] = verdict.shadowed[from];
        ordered.taken[*to] = verdict.taken[from];
        if let Some(refusal) = ordered
            .refusal
            .as_mut()
            .filter(|_| verdict.refusal.is_some_and(|refusal| refusal.demand == from))
        {
            refusal.demand = *to;
        }
    }
    ordered
}

#[cfg(test)]
mod tests;
