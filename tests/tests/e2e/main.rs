//! The whole product through the real edge, with real Postgres, Redis and workers: one file a chapter of the
//! specification.

mod api_keys;
mod audit_log;
mod authentication;
mod bad_input;
mod hosts;
mod hygiene;
mod network;
mod not_paying;
mod notices;
mod operations;
mod operators;
mod own_application;
mod people;
mod plans;
mod quick_start;
mod rate_limits;
mod route_reload;
mod sign_in_alerts;
mod sign_up;
mod tenants;
mod trust;
mod usage;
mod usage_events;
