//! Billing by real processes on a real Postgres: what the engine cannot prove alone.

mod bank;
mod changes;
mod corrections;
mod coupons_and_taxes;
mod desk;
mod documents;
mod dunning;
mod histories;
mod hooks;
mod kept;
mod kills;
mod late_use;
mod life;
mod operators;
mod overage;
mod reminders;
mod revenue;
mod revenue_days;
mod runs;
mod shop;
mod test_clock;
mod ways_to_pay;
