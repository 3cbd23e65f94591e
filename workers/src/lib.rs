//! The workers: a runtime for jobs that wait in Postgres, the jobs of this product, and its mail. A library, so that
//! tests and benches run jobs of their own by the same runtime.

pub mod app;
pub mod program;
pub mod register;
pub mod runtime;
pub mod schedules;

mod health;
mod jobs;
mod mail;
mod metrics;
mod repair;
mod webhooks;
