//! The workers of this process: their names and their wakers, by queue.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::task::AtomicWaker;
use uuid::Uuid;

/// What the queues of this process share.
#[derive(Debug)]
pub(crate) struct Fleet {
    berths: BTreeMap<&'static str, Berth>,
}

#[derive(Debug)]
struct Berth {
    waker: Arc<AtomicWaker>,
    worker: Mutex<String>,
}

impl Fleet {
    /// For these queues; nobody works them yet.
    pub(crate) fn new(queues: impl IntoIterator<Item = &'static str>) -> Self {
        let berth =
            |queue| (queue, Berth { waker: Arc::default(), worker: Mutex::new(name(queue)) });
        Self { berths: queues.into_iter().map(berth).collect() }
    }

    /// The queues.
    pub(crate) fn queues(&self) -> Vec<String> {
        self.berths.keys().map(|queue| (*queue).to_owned()).collect()
    }

    /// The current worker of each queue.
    pub(crate) fn workers(&self) -> Vec<String> {
        self.berths
            .values()
            .map(|berth| berth.worker.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .collect()
    }

    /// A new worker for `queue`: its name and what wakes it. A name is never used twice: a namesake's
    /// heartbeat would keep a dead worker's jobs from being recovered.
    pub(crate) fn enlist(&self, queue: &'static str) -> (String, Arc<AtomicWaker>) {
        let name = name(queue);
        let Some(berth) = self.berths.get(queue) else { return (name, Arc::default()) };
        berth.worker.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&name);
        (name, berth.waker.clone())
    }

    /// Wakes the worker of `queue`, if it is one of this process.
    pub(crate) fn wake(&self, queue: &str) {
        if let Some(berth) = self.berths.get(queue) {
            berth.waker.wake();
        }
    }
}

/// `queue@host:pid:unique`.
fn name(queue: &str) -> String {
    let unique = Uuid::from_u128(rand::random()).simple().to_string();
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    format!("{queue}@{host}:{}:{unique}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_comes_twice() {
        let fleet = Fleet::new(["email"]);
        let (first, _) = fleet.enlist("email");
        let (second, _) = fleet.enlist("email");
        assert!(first.starts_with("email@") && first != second);
        assert_eq!(fleet.workers(), [second]);
    }
}
