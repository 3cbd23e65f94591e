//! A thousand tenants for three years, with every invariant on.

use std::time::Instant;

use anyhow::Result;
use harness::billing_world::World;

use crate::bench::Length;
use crate::bench::figures::{Bar, Figure};
use crate::say;

const SEED: u64 = 20_261_125;
const TENANTS: usize = 1_000;

pub(super) fn measure(length: Length) -> Result<Vec<Figure>> {
    let months = if length == Length::Quick { 12 } else { 36 };
    let began = Instant::now();
    let outcome = World::new(SEED, TENANTS)?.run(months);
    let took = began.elapsed();
    say::note(&format!(
        "{TENANTS} tenants, {months} months, seed {SEED}: {} steps, {} invoices in {took:?}",
        outcome.steps, outcome.invoices
    ));
    for violation in &outcome.violations {
        say::note(violation);
    }
    Ok(vec![
        Figure { name: "simulation_s", value: took.as_secs_f64(), bar: Bar::Below(60.0) },
        Figure {
            name: "invariant_violations",
            value: outcome.violations.len() as f64,
            bar: Bar::AtMost(0.0),
        },
    ])
}
