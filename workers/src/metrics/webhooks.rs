//! Metrics of webhooks. No label names a tenant or an endpoint: their number has no bound.

use std::time::Duration;

use prometheus::{
    Gauge, Histogram, IntCounterVec, IntGauge, IntGaugeVec, Registry, register_gauge_with_registry,
    register_histogram_with_registry, register_int_counter_vec_with_registry,
    register_int_gauge_vec_with_registry, register_int_gauge_with_registry,
};
use store::webhook_dispatch::{Outcome, Standing};

/// The metrics.
#[derive(Debug)]
pub(crate) struct WebhookMetrics {
    attempts: IntCounterVec,
    durations: Histogram,
    first_bytes: Histogram,
    deliveries: IntGaugeVec,
    oldest: Gauge,
    circuits: IntGauge,
    endpoints: IntGaugeVec,
}

impl WebhookMetrics {
    /// Registers them; once a registry.
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            attempts: register_int_counter_vec_with_registry!(
                "pytake_webhook_attempts_total",
                "Attempts to deliver webhooks, by what followed: delivered, retry, failed",
                &["outcome"],
                registry
            )?,
            durations: register_histogram_with_registry!(
                "pytake_webhook_attempt_duration_seconds",
                "How long attempts to deliver webhooks took",
                vec![0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0],
                registry
            )?,
            first_bytes: register_histogram_with_registry!(
                "pytake_webhook_commit_to_first_byte_seconds",
                "From when an event was published to the first byte of the answer to its first attempt",
                vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0],
                registry
            )?,
            deliveries: register_int_gauge_vec_with_registry!(
                "pytake_webhook_deliveries",
                "Webhooks on their way, by state: due, later, sending",
                &["state"],
                registry
            )?,
            oldest: register_gauge_with_registry!(
                "pytake_webhook_oldest_due_seconds",
                "How long the oldest webhook is due that nothing holds back; scale by this",
                registry
            )?,
            circuits: register_int_gauge_with_registry!(
                "pytake_webhook_open_circuits",
                "Webhook endpoints to which nothing is sent for now",
                registry
            )?,
            endpoints: register_int_gauge_vec_with_registry!(
                "pytake_webhook_endpoints",
                "Webhook endpoints, by state: enabled, disabled",
                &["state"],
                registry
            )?,
        })
    }

    /// Counts an attempt to deliver a webhook.
    pub(crate) fn delivered(&self, outcome: Outcome, took: Duration) {
        self.attempts.with_label_values(&[&outcome.as_str().to_ascii_lowercase()]).inc();
        self.durations.observe(took.as_secs_f64());
    }

    /// The first answer to a webhook began, so long after its event.
    pub(crate) fn first_byte(&self, after: Duration) {
        self.first_bytes.observe(after.as_secs_f64());
    }

    /// Shows how webhooks stand.
    pub(crate) fn stand(&self, standing: &Standing) {
        let deliveries =
            [("due", standing.due), ("later", standing.later), ("sending", standing.sending)];
        for (state, count) in deliveries {
            self.deliveries.with_label_values(&[state]).set(count);
        }
        self.oldest.set(standing.oldest_due_seconds);
        self.circuits.set(standing.open_circuits);
        let endpoints =
            [("enabled", standing.enabled_endpoints), ("disabled", standing.disabled_endpoints)];
        for (state, count) in endpoints {
            self.endpoints.with_label_values(&[state]).set(count);
        }
    }
}
