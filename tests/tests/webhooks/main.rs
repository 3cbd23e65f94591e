//! Webhooks, by processes that deliver them to receivers on this machine: what is sent, when, in which order, and that
//! nothing is lost when processes and the database are killed.

mod delivery;
mod failing;
mod kills;
mod leases;
mod limits;
mod ordering;
mod replay;
mod retention;
mod story;
