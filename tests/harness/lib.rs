//! What tests, `cargo dev` and the benches share: private Postgres and Redis servers, the three programs on
//! free ports, actors that call the edge, and a mailbox. Nothing here is linked into a product.

mod account;
mod actor;
mod answer;
mod app;
mod application;
mod cable;
mod database;
mod environment;
mod kills;
mod leash;
mod mailbox;
mod ports;
mod postgres;
mod programs;
mod raw;
mod redact;
mod redis_server;
mod secrets;
mod servers;
mod smtp_server;
mod wait;
mod worker_fleet;
mod worker_kills;
mod workspace;

pub mod trial_jobs;

pub use account::place_for_servers;
pub use actor::{Actor, Owner};
pub use answer::Answer;
pub use app::{App, AppOptions, PASSWORD, SECOND_EDGE};
pub use application::{Application, routes_with};
pub use database::{Access, TestDatabase};
pub use environment::variable;
pub use kills::{Kills, Outcome as KillsOutcome};
pub use leash::{Leash, Spawn, tail};
pub use mailbox::{Mail, Mailbox};
pub use ports::{Port, reserve};
pub use postgres::{Durability, Postgres};
pub use programs::{POSTGRES_MAJOR_MIN, PostgresPrograms, find_redis};
pub use raw::{raw, raw_to_end};
pub use redact::redact;
pub use redis_server::RedisServer;
pub use secrets::{SecretFiles, random_hex, write_private};
pub use servers::{SERVERS_VARIABLE, Servers};
pub use smtp_server::{Security, SmtpServer};
pub use wait::{poll, poll_async};
pub use worker_fleet::{FleetOptions, WorkerFleet};
pub use worker_kills::{WorkerKills, WorkerKillsOutcome};
pub use workspace::{build_dir, program, root};
