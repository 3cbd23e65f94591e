//! The only HTTP client for URLs that tenants name. It calls no address that the operator's policy refuses, follows
//! nothing, and bounds what a server can make it read, hold or wait for.
//!
//! An address is judged where the connection is made: the resolver hands on only what the policy admits, so that
//! a name which answers differently the second time (DNS rebinding) gains nothing.

mod answer;
mod client;
mod config;
mod failure;
mod look_up;

pub use answer::{Answer, RetryAfter};
pub use client::{BuildError, Client};
pub use config::Config;
pub use failure::{Failure, TlsFault};
pub use look_up::{LookUp, System};
