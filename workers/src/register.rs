//! Which jobs this program does. A new job is a line here and a file in `jobs/`.

use futures::FutureExt;
use futures::future::BoxFuture;
use jobs::catalog::{SendEmail, Usage};

use crate::runtime::Perform;
use crate::runtime::monitor::{Crew, work};

/// Every queue with what works it.
pub(crate) const REGISTER: [Registration; 2] =
    [Registration::of::<SendEmail>(), Registration::of::<Usage>()];

/// A queue and what works it.
#[derive(Clone, Copy)]
pub(crate) struct Registration {
    /// The queue.
    pub(crate) queue: &'static str,
    /// How often a job is tried.
    pub(crate) attempts_max: u16,
    /// How long one attempt may take, in seconds.
    pub(crate) timeout_seconds: u64,
    /// Works the queue until the process is to stop.
    pub(crate) work: fn(Crew) -> BoxFuture<'static, ()>,
}

impl Registration {
    const fn of<J: Perform>() -> Self {
        Self {
            queue: J::QUEUE,
            attempts_max: J::ATTEMPTS_MAX,
            timeout_seconds: J::TIMEOUT.as_secs(),
            work: |crew| work::<J>(crew).boxed(),
        }
    }
}

/// The registrations of `queues`; of all when none is named.
///
/// # Errors
/// When a queue is not known; the message lists those that are.
pub(crate) fn select(queues: &[String]) -> anyhow::Result<Vec<Registration>> {
    if queues.is_empty() {
        return Ok(REGISTER.to_vec());
    }
    let unknown = queues.iter().find(|queue| find(queue).is_none());
    if let Some(unknown) = unknown {
        let known = REGISTER.map(|registration| registration.queue).join(", ");
        anyhow::bail!("there is no queue {unknown:?}; the queues are: {known}");
    }
    let named =
        |registration: &Registration| queues.iter().any(|queue| queue == registration.queue);
    Ok(REGISTER.into_iter().filter(named).collect())
}

fn find(queue: &str) -> Option<Registration> {
    REGISTER.into_iter().find(|registration| registration.queue == queue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_registered_once() {
        let mut queues = REGISTER.map(|registration| registration.queue);
        queues.sort_unstable();
        assert!(queues.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn an_unknown_queue_is_refused_by_name() {
        let queues = ["email".to_owned(), "emial".to_owned()];
        let error = select(&queues).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("emial") && error.contains("email")));
        assert_eq!(select(&queues[..1]).unwrap().len(), 1);
        assert_eq!(select(&[]).unwrap().len(), REGISTER.len());
    }
}
