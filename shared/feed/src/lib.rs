//! What the edge may read in Postgres: the views of the schema `edge`, as a policy that is kept current.
//! Names no table; the role `pytake_edge` could read none.

mod load;
mod visibility;
mod watch;

pub use load::LoadError;
pub use visibility::{Snapshot, SnapshotError, Xid};
pub use watch::{Feed, Loaded, Status};
