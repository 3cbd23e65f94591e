//! Outgoing webhooks, the pure part: which events there are, who wants which, how a message is signed, and when it is
//! tried again. No I/O, no clock, no randomness.

pub mod event_type;
pub mod events;
pub mod filter;
pub mod openapi;
pub mod schedule;
pub mod signature;

mod body;

pub use body::{BODY_BYTES_MAX, BodyError, body};
