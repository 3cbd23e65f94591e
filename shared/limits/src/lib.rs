//! Rate limits: permits taken from cells that all edges share through Redis, leased ahead so that most
//! requests need no round trip, and shared out when Redis is away. Denied requests consume nothing.
//!
//! [`take`] is the entry: it decides all limits of one request together.

mod cells;
pub mod gcra;
pub mod lease;
mod redis;
mod take;

pub use cells::CellKey;
pub use take::{
    DEMANDS_MAX, Demand, Demands, Health, Limiter, Refusal, Standing, Verdict, WAIT_MAX, take,
};
