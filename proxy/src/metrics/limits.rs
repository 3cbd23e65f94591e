//! What is counted of limits. Values that the limiter keeps itself are read off when they are asked for.

use limits::{Limiter, Mode};
use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::{copy, int};

#[derive(Debug)]
pub(crate) struct LimitMetrics {
    refusals: IntCounterVec,
    mode: IntGaugeVec,
    questions: IntCounter,
    waits: IntCounter,
    fallbacks: IntCounter,
    outages: IntCounter,
    edges: IntGauge,
    cells: IntGauge,
}

impl LimitMetrics {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            refusals: IntCounterVec::new(
                Opts::new(
                    "pytake_edge_limit_refusals_total",
                    "Requests over a limit, by its name, enforced or in shadow mode.",
                ),
                &["limit", "mode"],
            )?,
            mode: IntGaugeVec::new(
                Opts::new(
                    "pytake_edge_limit_mode",
                    "1 for how limits are decided: leasing, slow or away (from shares, without Redis).",
                ),
                &["mode"],
            )?,
            questions: IntCounter::new(
                "pytake_edge_limit_questions_total",
                "Questions asked of Redis.",
            )?,
            waits: IntCounter::new(
                "pytake_edge_limit_waits_total",
                "Requests that waited for Redis.",
            )?,
            fallbacks: IntCounter::new(
                "pytake_edge_limit_fallbacks_total",
                "Requests limited without Redis.",
            )?,
            outages: IntCounter::new(
                "pytake_edge_limit_outages_total",
                "Times Redis was away or slow.",
            )?,
            edges: IntGauge::new("pytake_edge_limit_edges", "Edges that share the limits.")?,
            cells: IntGauge::new("pytake_edge_limit_cells", "Limit cells held in memory.")?,
        })
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.refusals.clone()),
            Box::new(self.mode.clone()),
            Box::new(self.questions.clone()),
            Box::new(self.waits.clone()),
            Box::new(self.fallbacks.clone()),
            Box::new(self.outages.clone()),
            Box::new(self.edges.clone()),
            Box::new(self.cells.clone()),
        ]
    }

    /// Counts a request that was over a limit. Names are those of the route table, so they are few.
    pub(crate) fn count_refusal(&self, limit: &str, mode: &str) {
        self.refusals.with_label_values(&[limit, mode]).inc();
    }

    pub(super) fn read_off(&self, limiter: &Limiter) {
        for mode in Mode::ALL {
            let present = i64::from(limiter.mode() == mode);
            self.mode.with_label_values(&[mode.as_str()]).set(present);
        }
        let health = limiter.health();
        copy(&self.questions, &health.questions);
        copy(&self.waits, &health.waits);
        copy(&self.fallbacks, &health.fallbacks);
        self.outages.reset();
        self.outages.inc_by(limiter.outages());
        self.edges.set(int(limiter.edges()));
        self.cells.set(int(limiter.cells() as u64));
    }
}
