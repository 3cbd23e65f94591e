//! A world of tenants in memory, with books kept by the billing engine as the database keeps them: so that years of
//! billing are lived through in seconds, every invariant is checked after every step, and a second, slow reckoning
//! says of each amount what it should be.
//!
//! Time goes from event to event, no clock is read, and every choice comes of one seed: what was found is found again
//! by its seed.

mod books;
mod catalogue;
mod documents;
mod doings;
mod draws;
mod five_lines;
mod invariants;
mod judgement;
mod metered;
mod reference;
mod settling;
mod steps;
mod tenant;
mod world;

pub use five_lines::five_line_draft;
pub use world::{Outcome, World};
