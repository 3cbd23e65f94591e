//! Servers and name servers that mean harm, and a few that do not. All on loopback: 127.0.0.2 stands for what
//! may be called, 127.0.0.1 for what must not.

#![expect(clippy::unwrap_used, reason = "tests; clippy sees only their functions as such")]

mod addresses;
mod answers;
mod connections;
mod fixture;
mod tls;
