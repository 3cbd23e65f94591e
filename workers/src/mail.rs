//! Outgoing mail: the texts, the form of a message, and the two ways out.

pub(crate) mod message;
pub(crate) mod outbox;
pub(crate) mod words;

mod files;
mod smtp;
