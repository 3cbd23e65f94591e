//! The words that at least two of edge, API and workers speak: ids, names, plans, permissions, problems.
//! Pure: no I/O, no time of day, no randomness; whatever a value needs is passed in.

pub mod bank;
pub mod clock;
pub mod credential;
pub mod creditor_reference;
pub mod destination;
pub mod email;
pub mod event;
pub mod faults;
pub mod host;
pub mod id;
pub mod meter;
pub mod money;
pub mod name;
pub mod payment;
pub mod period;
pub mod permission;
pub mod plan;
pub mod problem;
pub mod secret;
pub mod standing;
pub mod tenant;
pub mod time_zone;
