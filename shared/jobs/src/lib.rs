//! The job queue, for whoever enqueues and for the workers: which jobs there are, how one is added in the
//! transaction of its cause, and the statements that keep the queue healthy. Knows nothing of the runtime.

pub mod catalog;
pub mod queue;
pub mod schedule;

mod enqueue;
mod envelope;
mod wake_up;

pub use enqueue::{Enqueued, Options, enqueue};
pub use envelope::{Undecodable, decode};
pub use wake_up::listen;
