//! For operators, on their own listener.

pub(crate) mod jobs;
pub(crate) mod queues;
