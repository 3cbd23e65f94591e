//! What the edge may do in Postgres: read the views of the schema `edge`, as a policy that is kept current, and
//! kept on local disk for a restart without Postgres; and hand over what it counted. Names no table; the role
//! `pytake_edge` could read none.

#[macro_use]
mod rows;

mod follow;
mod local;
mod position;
mod read;
mod status;
mod usage;

pub use follow::{Feed, Loaded, Observer, Sources};
pub use position::{Position, Snapshot, SnapshotError, Xid};
pub use read::ReadError;
pub use status::Status;
pub use usage::{Progress, UsageError, UsageSink};
