//! `cargo dev bench NAME`: one bench with what it needs, as a table or as one JSON object.

mod allocations;
mod billing;
mod caller;
mod cpu;
mod edge;
mod figures;
mod jobs;
mod limits;
mod load;
mod metering;
mod policy;
mod tenants;
mod webhooks;

use anyhow::{Result, bail};
use clap::Args;

use crate::bench::figures::Report;
use crate::say;

#[derive(Args, Debug, Clone)]
pub(crate) struct Options {
    /// Which bench; see docs/benchmarks.md.
    name: String,
    /// One JSON object on standard output, and nothing else.
    #[arg(long)]
    json: bool,
    /// Under a minute.
    #[arg(long)]
    quick: bool,
}

/// How long to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Quick,
    Full,
}

pub(crate) async fn run(options: Options) -> Result<()> {
    if cfg!(debug_assertions) {
        bail!("a debug build measures nothing; use deploy/bench");
    }
    let length = if options.quick { Length::Quick } else { Length::Full };
    let figures = match options.name.as_str() {
        "billing" => billing::measure(length).await?,
        "jobs" => jobs::measure(length).await?,
        "limits" => limits::measure(length).await?,
        "metering" => metering::measure(length).await?,
        "policy" => policy::measure(length).await?,
        "webhooks" => webhooks::measure(length).await?,
        other => {
            bail!(
                "there is no bench `{other}`; there are: billing, jobs, limits, metering, policy, webhooks"
            )
        }
    };
    let report = Report::new(options.name, figures);
    say::line(&if options.json { report.json() } else { report.table() });
    Ok(())
}
