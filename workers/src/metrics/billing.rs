//! Metrics of billing: how it stands after each run.

use jiff::Timestamp;
use prometheus::{
    Gauge, IntGauge, Registry, register_gauge_with_registry, register_int_gauge_with_registry,
};
use store::billing::runs::Standing;

/// The metrics.
#[derive(Debug)]
pub(crate) struct BillingMetrics {
    due: IntGauge,
    drafts: IntGauge,
    parked: IntGauge,
    oldest: Gauge,
}

impl BillingMetrics {
    /// Registers them; once a registry.
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            due: register_int_gauge_with_registry!(
                "pytake_billing_due_subscriptions",
                "Subscriptions whose period has ended and was not closed, after the last run",
                registry
            )?,
            drafts: register_int_gauge_with_registry!(
                "pytake_billing_draft_invoices",
                "Invoices that are not finalised",
                registry
            )?,
            parked: register_int_gauge_with_registry!(
                "pytake_billing_parked_subscriptions",
                "Subscriptions that could not be billed; operators see why",
                registry
            )?,
            oldest: register_gauge_with_registry!(
                "pytake_billing_oldest_due_seconds",
                "How long ago the period ended that waits longest; 0 when none waits",
                registry
            )?,
        })
    }

    /// How billing stands.
    pub(crate) fn stands(&self, standing: &Standing, now: Timestamp) {
        let set =
            |gauge: &IntGauge, count: u64| gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        set(&self.due, standing.due);
        set(&self.drafts, standing.drafts);
        set(&self.parked, standing.parked);
        let waited = standing.oldest_due.map(|at| now.duration_since(at).as_secs_f64());
        self.oldest.set(waited.unwrap_or(0.0).max(0.0));
    }
}
