//! The slow reckoning: what a tenant owes, straight from when it had which plan and what it used, in exact fractions
//! and by other routes than the engine's: its own calendar, segments in place of credits, tiers cut out one by one.
//! Only the world's checks use it.

mod calendar;
mod compare;
mod exact;
mod history;
mod rating;

pub(super) use history::History;
pub(super) use rating::came_to;
