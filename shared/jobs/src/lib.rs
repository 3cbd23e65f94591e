//! The job queue, for whoever enqueues and for the workers: which jobs there are, how one is added in the
//! transaction of its cause, and the statements that keep the queue healthy. Knows nothing of the runtime.

pub mod bank;
pub mod catalog;
pub mod queue;
pub mod repair;
pub mod schedule;

mod enqueue;
mod envelope;
mod queue_form;
mod wake_up;

pub use enqueue::{Enqueued, Options, enqueue, enqueue_all};
pub use envelope::{Undecodable, decode};
pub use queue_form::QueueForm;
pub use wake_up::listen;
