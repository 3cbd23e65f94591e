//! The engine alone, on one core: a draft and its facts → an invoice of five lines, and its posting.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use billing::{Posting, compose};
use harness::billing_world::five_line_draft;

use crate::bench::Length;
use crate::bench::figures::{Bar, Figure};

const ROUNDS: usize = 5;
/// Invoices between two looks at the clock.
const BLOCK: u32 = 500;

pub(super) fn measure(length: Length) -> Result<Vec<Figure>> {
    let round = Duration::from_millis(if length == Length::Quick { 300 } else { 2_000 });
    let mut rates = (0..ROUNDS).map(|_| rate(round)).collect::<Result<Vec<_>>>()?;
    rates.sort_by(f64::total_cmp);
    Ok(vec![Figure {
        name: "engine_invoices_per_s",
        value: rates[ROUNDS / 2],
        bar: Bar::AtLeast(50_000.0),
    }])
}

/// Invoices a second.
fn rate(round: Duration) -> Result<f64> {
    let (draft, facts) = five_line_draft()?;
    let began = Instant::now();
    let mut made = 0;
    while began.elapsed() < round {
        for _ in 0..BLOCK {
            let invoice = compose(black_box(&draft), black_box(&facts))?;
            black_box(invoice.as_ref().map(Posting::invoice));
        }
        made += BLOCK;
    }
    Ok(f64::from(made) / began.elapsed().as_secs_f64())
}
