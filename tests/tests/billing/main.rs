//! Billing by real processes on a real Postgres: what the engine cannot prove alone.

mod bank;
mod card_desk;
mod changes;
mod corrections;
mod coupons_and_taxes;
mod desk;
mod disputes;
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
mod reconciliation;
mod refunds;
mod reminders;
mod revenue;
mod revenue_days;
mod runs;
mod shop;
mod test_clock;
mod ways_to_pay;
