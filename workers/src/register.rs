//! Which jobs this program does. A new job is a line here and a file in `jobs/`.

use futures::FutureExt;
use futures::future::BoxFuture;
use jobs::QueueForm;
use jobs::catalog::{Audit, Billing, Documents, Payments, SendEmail, Usage, Webhooks};

use crate::runtime::Perform;
use crate::runtime::monitor::{Crew, work};
use crate::webhooks;

/// Every queue with what works it.
pub const REGISTER: [Registration; 7] = [
    Registration::of::<SendEmail>(),
    Registration::of::<Usage>(),
    // Who works this queue delivers, too.
    Registration { form: QueueForm::of::<Webhooks>(), work: |crew| webhooks::work(crew).boxed() },
    Registration::of::<Billing>(),
    Registration::of::<Payments>(),
    Registration::of::<Documents>(),
    Registration::of::<Audit>(),
];

/// A queue and what works it.
#[derive(Debug, Clone, Copy)]
pub struct Registration {
    /// Its name and its limits.
    pub form: QueueForm,
    /// Works the queue until the process is to stop.
    pub(crate) work: fn(Crew) -> BoxFuture<'static, ()>,
}

impl Registration {
    /// Of a kind of job.
    #[must_use]
    pub const fn of<J: Perform>() -> Self {
        Self { form: QueueForm::of::<J>(), work: |crew| work::<J>(crew).boxed() }
    }
}

/// The registrations of `queues`; all of `registered` when none is named.
///
/// # Errors
/// When a queue is not known; the message lists those that are.
pub(crate) fn select(
    registered: &[Registration],
    queues: &[String],
) -> anyhow::Result<Vec<Registration>> {
    let find = |queue: &String| registered.iter().find(|known| known.form.name == queue);
    if let Some(unknown) = queues.iter().find(|queue| find(queue).is_none()) {
        let known: Vec<_> = registered.iter().map(|registration| registration.form.name).collect();
        let known = known.join(", ");
        anyhow::bail!("there is no queue {unknown:?}; the queues are: {known}");
    }
    let named = |known: &&Registration| {
        queues.is_empty() || queues.iter().any(|queue| queue == known.form.name)
    };
    Ok(registered.iter().filter(named).copied().collect())
}

#[cfg(test)]
mod tests {
    use jobs::catalog::QUEUES;

    use super::*;

    #[test]
    fn every_queue_of_the_catalogue_is_worked_once() {
        let worked = REGISTER.map(|registration| registration.form.name);
        let mut sorted = worked;
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(worked, QUEUES.map(|form| form.name));
    }

    #[test]
    fn an_unknown_queue_is_refused_by_name() {
        let queues = ["email".to_owned(), "emial".to_owned()];
        let error = select(&REGISTER, &queues).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("emial") && error.contains("email")));
        assert_eq!(select(&REGISTER, &queues[..1]).unwrap().len(), 1);
        assert_eq!(select(&REGISTER, &[]).unwrap().len(), REGISTER.len());
    }
}
