//! How changes reach the edges: the feed on a real database, whatever the order of commits, and through gaps
//! and restarts.

mod interleaving;
mod limits;
mod order;
mod restart;
mod world;
