//! The audit trail as evidence. A tenant's events are the leaves of a Merkle tree (RFC 9162, 2.1), in an order that is fixed
//! after they were written; its heads are signed. Whoever has the events and the heads can tell by themselves that nothing
//! was changed, removed, put elsewhere or cut off: [`Verifier`]. Pure: no storage, no clock.
//!
//! What it cannot tell by itself is that the end was cut off together with the heads that told of it. So a head is to be kept
//! elsewhere, too; held against one, a shorter trail is found.

mod entry;
mod export;
mod head;
mod tree;
mod verifier;

pub use entry::Entry;
pub use export::{ExportError, Line, verify_export};
pub use head::{Head, HeadKey, HeadKeyError, HeadSigner, SignedHead};
pub use tree::{Frontier, Hash};
pub use verifier::{Fault, Report, Verifier};
