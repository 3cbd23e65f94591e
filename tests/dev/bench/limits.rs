//! What limits cost, and how exact they are: one decision, questions asked of Redis, and four real edges that
//! share the limits of ten tenants, at once, twice and ten times their rate, and without Redis for a while.

mod fleet;
mod local;
mod tenants;
mod windows;

use std::time::Duration;

use anyhow::Result;
use harness::Servers;

use self::fleet::{Fleet, Outage};
use super::Length;
use super::figures::{Bar, Figure};

/// How long each run of the fleet lasts, after each tenant's burst is spent.
struct Times {
    steady: Duration,
    before_outage: Duration,
    outage: Duration,
    after_outage: Duration,
}

impl Times {
    const fn of(length: Length) -> Self {
        let secs = match length {
            Length::Quick => [10, 4, 8, 4],
            Length::Full => [60, 30, 60, 30],
        };
        Self {
            steady: Duration::from_secs(secs[0]),
            before_outage: Duration::from_secs(secs[1]),
            outage: Duration::from_secs(secs[2]),
            after_outage: Duration::from_secs(secs[3]),
        }
    }
}

pub(super) async fn measure(length: Length) -> Result<Vec<Figure>> {
    let times = Times::of(length);
    let mut figures = local::measure(length).await?;

    let servers = Servers::start().await?;
    let mut fleet = Fleet::start(&servers).await?;
    let mut over: f64 = 0.0;
    let mut of_limit = f64::INFINITY;
    for multiple in [1.0, 2.0, 10.0] {
        let runs = fleet.run(multiple, times.steady, None).await?;
        for run in &runs {
            over = over.max(run.worst_window());
            if multiple == 2.0 {
                of_limit = of_limit.min(run.steady_pace().unwrap_or(f64::INFINITY));
            }
        }
    }
    let outage = Outage { after: times.before_outage, lasts: times.outage };
    let lasts = times.before_outage + times.outage + times.after_outage;
    let runs = fleet.run(2.0, lasts, Some(outage)).await?;
    let down = runs.iter().map(windows::Run::whole).fold(0.0, f64::max);
    figures.extend([
        Figure { name: "admitted_over_limit_ratio", value: over, bar: Bar::AtMost(1.0) },
        Figure { name: "admitted_of_limit_ratio", value: of_limit, bar: Bar::AtLeast(0.98) },
        Figure { name: "admitted_redis_down_ratio", value: down, bar: Bar::AtMost(1.05) },
    ]);
    Ok(figures)
}
