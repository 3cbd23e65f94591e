//! Years of billing in seconds: tenants that do what tenants do, with every invariant checked after every step, and
//! each amount against a second reckoning. Failures name the seed and the step.

mod lives;
mod rate;
