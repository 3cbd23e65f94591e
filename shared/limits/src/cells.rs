//! The cells that this edge knows, by key.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use foldhash::fast::RandomState;
use tokio::sync::Notify;

use crate::decide::CellState;
use crate::key::CellKey;
use crate::rule::Rule;
use crate::shared_cell::Known;

/// Shards of the map, so that threads seldom meet.
const SHARDS: usize = 64;
/// How long an unused cell is kept.
const IDLE_US: u64 = 60_000_000;
/// Most cells remembered of which only others have told.
const HEARD_MAX: usize = 100_000;

/// A cell and who waits for it.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) key: CellKey,
    state: Mutex<CellState>,
    pub(crate) answered: Notify,
}

impl Cell {
    pub(crate) fn lock(&self) -> MutexGuard<'_, CellState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All cells.
#[derive(Debug)]
pub(crate) struct Cells {
    hasher: RandomState,
    shards: Vec<RwLock<HashMap<CellKey, Arc<Cell>, RandomState>>>,
    /// What others told of cells that this edge has not used, and when by its clock.
    heard: Mutex<HashMap<CellKey, (Known, u64), RandomState>>,
}

impl Cells {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::default(),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            heard: Mutex::default(),
        }
    }

    /// The cell of `key`, made if it is new.
    pub(crate) fn get(&self, key: CellKey, rule: Rule, now_us: u64) -> Arc<Cell> {
        if let Some(cell) = self.find(key) {
            return cell;
        }
        let mut state = CellState::new(rule, now_us);
        if let Some((known, at_us)) = self.heard().remove(&key) {
            state.lease.heard(known, at_us);
        }
        let cell = Arc::new(Cell { key, state: Mutex::new(state), answered: Notify::new() });
        let mut shard = self.shard(key).write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(shard.entry(key).or_insert(cell))
    }

    fn find(&self, key: CellKey) -> Option<Arc<Cell>> {
        let shard = self.shard(key).read().unwrap_or_else(PoisonError::into_inner);
        shard.get(&key).map(Arc::clone)
    }

    /// Takes notice of what others tell of a cell; answers it if this edge uses it.
    pub(crate) fn hear(&self, key: CellKey, known: Known, now_us: u64) -> Option<Arc<Cell>> {
        let cell = self.find(key);
        match &cell {
            Some(cell) => cell.lock().lease.heard(known, now_us),
            None => {
                let mut heard = self.heard();
                if heard.len() < HEARD_MAX || heard.contains_key(&key) {
                    heard.insert(key, (known, now_us));
                }
            }
        }
        cell
    }

    /// Looks at every cell, and forgets those that nobody uses.
    pub(crate) fn sweep(&self, now_us: u64, mut look: impl FnMut(&Arc<Cell>, &mut CellState)) {
        for shard in &self.shards {
            // Read first: what is to be forgotten is rare, and a writer stops requests.
            let mut idle = Vec::new();
            for cell in shard.read().unwrap_or_else(PoisonError::into_inner).values() {
                let mut state = cell.lock();
                look(cell, &mut state);
                if is_idle(&state, now_us) {
                    idle.push(cell.key);
                }
            }
            if idle.is_empty() {
                continue;
            }
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            for key in idle {
                // Someone who holds the cell may be about to use it.
                let unused = shard.get(&key).is_some_and(|cell| {
                    Arc::strong_count(cell) == 1 && is_idle(&cell.lock(), now_us)
                });
                if unused
                    && let Some(cell) = shard.remove(&key)
                    && key.is_lasting()
                {
                    self.heard().insert(key, (cell.lock().lease.newest(), now_us));
                }
            }
        }
    }

    /// Forgets what was heard of cells that have drained since.
    pub(crate) fn forget_heard(&self, now_us: u64) {
        // A rate drains within a window, or two after an outage; a quota's word is kept for its readers.
        self.heard().retain(|key, (_, at_us)| key.is_lasting() || *at_us + 2 * IDLE_US > now_us);
    }

    /// How many cells are known.
    pub(crate) fn len(&self) -> usize {
        let len = |shard: &RwLock<HashMap<_, _, _>>| {
            shard.read().unwrap_or_else(PoisonError::into_inner).len()
        };
        self.shards.iter().map(len).sum()
    }

    fn heard(&self) -> MutexGuard<'_, HashMap<CellKey, (Known, u64), RandomState>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shard(&self, key: CellKey) -> &RwLock<HashMap<CellKey, Arc<Cell>, RandomState>> {
        let hash = usize::try_from(self.hasher.hash_one(key)).unwrap_or_default();
        // The map itself takes the low bits and the highest seven.
        &self.shards[(hash >> 40) % SHARDS]
    }
}

fn is_idle(state: &CellState, now_us: u64) -> bool {
    !state.asked && state.used_us + IDLE_US < now_us && state.lease.is_settled()
}
