//! A month's end: from "the period has ended for everybody" until each tenant has a numbered invoice of five lines and
//! its collection is queued. One worker, its Postgres beside it, which keeps what it says it keeps.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::MonthEnd;

use crate::bench::Length;
use crate::bench::figures::{Bar, Figure};
use crate::say;

const FEW: u64 = 1_000;
const MANY: u64 = 100_000;
const DONE_WITHIN: Duration = Duration::from_secs(3_000);

pub(super) async fn measure(length: Length) -> Result<Vec<Figure>> {
    let many = if length == Length::Quick { 5_000 } else { MANY };
    // Few first and last: the machine may have changed meanwhile.
    let before = invoice(FEW).await?;
    let long = invoice(many).await?;
    let after = invoice(FEW).await?;
    let short = before.min(after);
    let whole = Figure {
        name: if length == Length::Quick { "month_end_5k_s" } else { "month_end_100k_s" },
        value: long.as_secs_f64() * many as f64,
        bar: if length == Length::Quick { Bar::None } else { Bar::Below(600.0) },
    };
    let ratio = Figure {
        name: "month_end_cost_ratio",
        value: long.as_secs_f64() / short.as_secs_f64(),
        // A few thousand are done before the database has looked at tables that were empty, and plans by that.
        bar: if length == Length::Quick { Bar::None } else { Bar::Below(1.2) },
    };
    Ok(vec![whole, ratio])
}

/// How long one of `tenants` invoices took.
async fn invoice(tenants: u64) -> Result<Duration> {
    let mut month = MonthEnd::start(tenants, true, &[]).await;
    month.add();
    month.ready(0).await;
    let began = Instant::now();
    month.enqueue(1).await;
    let came = month.wait(DONE_WITHIN).await;
    let took = began.elapsed();
    ensure!(came.due == 0 && came.drafts == 0 && came.parked == 0, "not all were billed: {came:?}");
    let faults = month.faults().await;
    ensure!(faults.is_empty(), "{faults:#?}");
    say::note(&format!("{tenants} invoices took {took:?}"));
    Ok(took.div_f64(tenants as f64))
}
