//! What each job does, a file each; the list of them is `register.rs`.

mod audit;
mod billing;
mod documents;
mod payments;
mod send_email;
pub(crate) mod usage;
pub(crate) mod webhooks;
