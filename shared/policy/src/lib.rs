//! What the edge decides, purely: no I/O, no clock, no runtime. [`decide`] is the whole of it; the rest is
//! what it reads: the facts of a request, the policy as last loaded, and the route table.

pub mod change;
pub mod cidr;
mod decide;
pub mod facts;
pub mod forwarded;
pub mod hosts;
pub mod routes;
pub mod snapshot;
mod trie;

pub use change::Change;
pub use decide::{Decision, Denial, Grant, Limit, LimitRule, LimitScope, Limits, bearer, decide};
pub use facts::{HeaderFact, RequestFacts};
pub use snapshot::{Policy, Site};
