//! The workers of this process, by queue: their names, their wakers, and which attempts they still have in hand.
//!
//! A worker of the library ends with any database error, while its attempts go on. Until they are over it is kept in
//! mind here, so that nobody takes it for dead and does their jobs beside them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::task::AtomicWaker;
use uuid::Uuid;

/// What the queues of this process share.
#[derive(Debug)]
pub(crate) struct Fleet {
    berths: BTreeMap<&'static str, Berth>,
    /// Workers that ended in an error, and whose jobs are still to be handed back.
    ended: Mutex<Vec<Arc<Worker>>>,
}

#[derive(Debug)]
struct Berth {
    waker: Arc<AtomicWaker>,
    worker: Mutex<Arc<Worker>>,
}

/// A worker.
#[derive(Debug)]
pub(crate) struct Worker {
    /// `queue@host:pid:unique`. Never used twice: a namesake's heartbeat would keep a dead worker's jobs from
    /// being taken over.
    pub(crate) name: String,
    /// Attempts that have begun and are not over.
    running: AtomicUsize,
}

/// Counts an attempt for as long as it runs, however it ends.
#[derive(Debug)]
pub(crate) struct Running(Arc<Worker>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Worker {
    fn new(queue: &str) -> Arc<Self> {
        let unique = Uuid::from_u128(rand::random()).simple().to_string();
        let system = rustix::system::uname();
        let host = system.nodename().to_string_lossy();
        let name = format!("{queue}@{host}:{}:{unique}", std::process::id());
        Arc::new(Self { name, running: AtomicUsize::new(0) })
    }

    /// An attempt begins.
    pub(crate) fn begin(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(self.clone())
    }

    fn is_idle(&self) -> bool {
        self.running.load(Ordering::Relaxed) == 0
    }
}

impl Fleet {
    /// For these queues; nobody works them yet.
    pub(crate) fn new(queues: impl IntoIterator<Item = &'static str>) -> Self {
        let berth = |queue| {
            let worker = Mutex::new(Worker::new(queue));
            (queue, Berth { waker: Arc::default(), worker })
        };
        Self { berths: queues.into_iter().map(berth).collect(), ended: Mutex::default() }
    }

    /// The queues.
    pub(crate) fn queues(&self) -> Vec<String> {
        self.berths.keys().map(|queue| (*queue).to_owned()).collect()
    }

    /// The current worker of each queue.
    pub(crate) fn workers(&self) -> Vec<String> {
        self.berths.values().map(|berth| hold(&berth.worker).name.clone()).collect()
    }

    /// All that live: the current workers, and those that ended with attempts still running.
    pub(crate) fn living(&self) -> Vec<String> {
        let mut names = self.workers();
        names.extend(hold(&self.ended).iter().map(|worker| worker.name.clone()));
        names
    }

    /// A new worker for `queue`, and what wakes it.
    pub(crate) fn enlist(&self, queue: &'static str) -> (Arc<Worker>, Arc<AtomicWaker>) {
        let worker = Worker::new(queue);
        let Some(berth) = self.berths.get(queue) else { return (worker, Arc::default()) };
        *hold(&berth.worker) = worker.clone();
        (worker, berth.waker.clone())
    }

    /// `worker` ended in an error.
    pub(crate) fn mourn(&self, worker: Arc<Worker>) {
        hold(&self.ended).push(worker);
    }

    /// Workers that ended and whose last attempt is over: what they hold can be handed back.
    pub(crate) fn idle_ended(&self) -> Vec<String> {
        let ended = hold(&self.ended);
        ended.iter().filter(|worker| worker.is_idle()).map(|worker| worker.name.clone()).collect()
    }

    /// What `worker` held was handed back.
    pub(crate) fn forget(&self, worker: &str) {
        hold(&self.ended).retain(|ended| ended.name != worker);
    }

    /// Wakes the worker of `queue`, if it is one of this process.
    pub(crate) fn wake(&self, queue: &str) {
        if let Some(berth) = self.berths.get(queue) {
            berth.waker.wake();
        }
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_comes_twice() {
        let fleet = Fleet::new(["email"]);
        let (first, _) = fleet.enlist("email");
        let (second, _) = fleet.enlist("email");
        assert!(first.name.starts_with("email@") && first.name != second.name);
        assert_eq!(fleet.workers(), *std::slice::from_ref(&second.name));
    }

    #[test]
    fn a_worker_that_ended_lives_until_its_last_attempt_is_over() {
        let fleet = Fleet::new(["email"]);
        let (worker, _) = fleet.enlist("email");
        let (one, other) = (worker.begin(), worker.begin());
        fleet.mourn(worker.clone());
        drop(one);
        assert!(fleet.living().contains(&worker.name) && fleet.idle_ended().is_empty());
        drop(other);
        assert_eq!(fleet.idle_ended(), *std::slice::from_ref(&worker.name));
        fleet.forget(&worker.name);
        assert_eq!(fleet.living(), fleet.workers());
    }
}
