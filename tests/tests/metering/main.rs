//! Usage: counted once, never lost, and right at every stage.

mod counting;
mod kills;
mod outages;
mod rollup;
mod stage;
