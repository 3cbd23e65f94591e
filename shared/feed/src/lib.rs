//! What the edge may read in Postgres: the views of the schema `edge`, as a policy that is kept current, and
//! kept on local disk for a restart without Postgres. Names no table; the role `pytake_edge` could read none.

#[macro_use]
mod rows;

mod follow;
mod local;
mod position;
mod read;
mod status;

pub use follow::{Feed, Loaded, Observer, Sources};
pub use position::{Position, Snapshot, SnapshotError, Xid};
pub use read::ReadError;
pub use status::Status;
