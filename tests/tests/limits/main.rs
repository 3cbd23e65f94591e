//! Limits, by real edges and a real Redis. Names say what users of other gateways complain of.

mod changes;
mod cluster;
mod edges;
mod fleet;
mod line;
mod pods;
mod quotas;
mod redis_away;
mod shadow;
mod slots;
mod upstream;
