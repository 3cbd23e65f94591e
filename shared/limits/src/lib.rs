//! Limits: permits taken from cells that all edges share through Redis, leased ahead so that most requests need
//! no round trip, and shared out when Redis is away. Denied requests consume nothing.
//!
//! [`take`] is the entry: it decides all limits of one request together. In reading order: [`Rule`] says what a
//! limit allows, `cell.lua` is what happens in Redis, `lease` an edge's part of a cell, `share` what it does
//! alone, `decide` the decision, `redis` the way there.
//!
//! What is promised of N a minute: in any window W all edges together admit at most N + N·W/60 s while Redis
//! answers, and a lone edge admits all of it; leases shift a permit by their life at most and never add one.

mod cells;
mod client;
mod decide;
mod key;
mod lease;
mod link;
mod raise;
mod read;
mod redis;
mod rule;
mod share;
mod shared_cell;
mod take;
#[cfg(test)]
mod tests;

pub use client::AskError;
pub use decide::{DEMANDS_MAX, Refusal, Standing, Verdict};
pub use key::CellKey;
pub use link::{Mode, WAIT_MAX};
pub use raise::{Counted, Raiser};
pub use read::Reader;
pub use redis::{Server, ServerError};
pub use rule::{Rule, WINDOW_SECS};
pub use take::{Demand, Demands, Health, InProgress, Limiter, take};
