//! Billing by real processes on a real Postgres: what the engine cannot prove alone.

mod changes;
mod coupons_and_taxes;
mod documents;
mod kept;
mod life;
mod overage;
mod runs;
mod shop;
mod test_clock;
