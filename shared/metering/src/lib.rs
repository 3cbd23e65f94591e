//! Metering: counts each answered request once, even if the process is killed at any moment.
//!
//! Counters live in memory-mapped files, so the kernel keeps them when the process is gone. Such a file, a
//! *segment*, **is** batch number N of its process from the moment it is made: sealing it only means that
//! counting goes on in the next one. Hence nothing ever has to be moved from one place to another in one
//! moment, and every file that a killed process leaves is simply a batch that still has to be shipped. Whoever
//! takes batches stores each once, under `(edge_id, boot_id, number)`.
//!
//! ```text
//! <spool>/edge_id                     which edge this is, made once
//! <spool>/<boot_id>/lock              held by the process; free when it is no more
//!                  /labels            what the numbers of labels mean, a line each
//!                  /0000000012.batch    sealed and compact
//!                  /0000000013.segment  the active one, or sealed and not compact yet
//! <spool>/<boot_id>-…damaged          not what was written; kept for a look, never shipped
//! ```
//!
//! [`Spool`] is the entry. A request asks [`Spool::has_room`] before it is let in and is counted by
//! [`Spool::count`] before its answer can reach the client; a thread of the owner calls [`Spool::seal`] each few
//! seconds, and ships what [`Spool::pending`] lists.
//!
//! In reading order: `subject` what is counted, `key` and `layout` how it looks in a file, `map` the file in
//! memory (all unsafe code), `segment` how a request finds its slot, `spool` and `seal` around it, `tally` and
//! `batch` what it comes to, `boot_dir`, `stored` and `pending` what happens to it after.
//!
//! What a loss of *power* may cost: segments are not synced, so the last seconds before it. Batches are.

mod batch;
mod boot_dir;
mod disk;
mod edge_id;
mod error;
mod key;
mod labels;
mod layout;
mod map;
mod pending;
mod pressure;
mod seal;
mod segment;
mod spool;
mod stored;
mod subject;
mod tally;
#[cfg(test)]
mod tests;
mod written;

pub use batch::{Batch, LabelText, Row};
pub use error::{Full, SpoolError};
pub use labels::LABELS_MAX;
pub use pending::{Boot, Pending, Predecessor};
pub use spool::{Health, Spool, SpoolLimits};
pub use subject::{Label, Outcome, Principal, Subject};
