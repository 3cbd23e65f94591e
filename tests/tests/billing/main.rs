//! Billing by real processes on a real Postgres: what the engine cannot prove alone.

mod kept;
mod late_use;
mod reminders;
mod runs;
mod test_clock;
