//! Billing by real processes on a real Postgres: what the engine cannot prove alone.

mod corrections;
mod desk;
mod kept;
mod late_use;
mod operators;
mod reminders;
mod revenue;
mod revenue_days;
mod runs;
mod test_clock;
