//! The workers' metrics. Labels are queue and outcome (or state) only: neither may grow without bound.

mod billing;
mod payments;
mod webhooks;

use std::time::Duration;

use jobs::queue::Depth;
use prometheus::{
    GaugeVec, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
    register_gauge_vec_with_registry, register_histogram_vec_with_registry,
    register_int_counter_vec_with_registry, register_int_counter_with_registry,
    register_int_gauge_vec_with_registry, register_int_gauge_with_registry,
};

use crate::runtime::outcome::Ending;

pub(crate) use billing::BillingMetrics;
pub(crate) use payments::PaymentMetrics;
pub(crate) use webhooks::WebhookMetrics;

/// The metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    started: IntCounterVec,
    ended: IntCounterVec,
    waits: HistogramVec,
    durations: HistogramVec,
    jobs: IntGaugeVec,
    oldest: GaugeVec,
    /// Of billing.
    pub(crate) billing: BillingMetrics,
    /// Of payments.
    pub(crate) payments: PaymentMetrics,
    /// Of webhooks.
    pub(crate) webhooks: WebhookMetrics,
    usage_rows: IntCounter,
    usage_discrepancies: IntGauge,
}

impl Metrics {
    /// Registers them; once a registry.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            started: register_int_counter_vec_with_registry!(
                "pytake_job_attempts_started_total",
                "Attempts of jobs that began",
                &["queue"],
                registry
            )?,
            ended: register_int_counter_vec_with_registry!(
                "pytake_job_attempts_total",
                "Attempts of jobs, by how they ended: done, retry, discarded, dead, undecodable",
                &["queue", "outcome"],
                registry
            )?,
            waits: register_histogram_vec_with_registry!(
                "pytake_job_wait_seconds",
                "How long jobs waited from when they were due to the start of an attempt",
                &["queue"],
                vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0],
                registry
            )?,
            durations: register_histogram_vec_with_registry!(
                "pytake_job_attempt_duration_seconds",
                "How long attempts of jobs took",
                &["queue"],
                vec![0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0],
                registry
            )?,
            jobs: register_int_gauge_vec_with_registry!(
                "pytake_jobs",
                "Jobs by state: due, later, held, dead, discarded",
                &["queue", "state"],
                registry
            )?,
            oldest: register_gauge_vec_with_registry!(
                "pytake_job_oldest_due_seconds",
                "How long the oldest due job has waited; scale by this",
                &["queue"],
                registry
            )?,
            billing: BillingMetrics::register(registry)?,
            payments: PaymentMetrics::register(registry)?,
            webhooks: WebhookMetrics::register(registry)?,
            usage_rows: register_int_counter_with_registry!(
                "pytake_usage_rows_total",
                "Counts that were rolled up",
                registry
            )?,
            usage_discrepancies: register_int_gauge_with_registry!(
                "pytake_usage_discrepancies",
                "Buckets whose sum was wrong at the last check of this process: alert above 0",
                registry
            )?,
        })
    }

    /// Shows a queue from the start, not from its first job.
    pub(crate) fn announce(&self, queue: &str) {
        self.started.with_label_values(&[queue]);
        for ending in Ending::ALL {
            self.ended.with_label_values(&[queue, ending.as_str()]);
        }
    }

    /// Counts an attempt that begins, of a job that has waited.
    pub(crate) fn started(&self, queue: &str, waited: Duration) {
        self.started.with_label_values(&[queue]).inc();
        self.waits.with_label_values(&[queue]).observe(waited.as_secs_f64());
    }

    /// Counts an attempt that ended.
    pub(crate) fn ended(&self, queue: &str, ending: Ending, took: Duration) {
        self.ended.with_label_values(&[queue, ending.as_str()]).inc();
        self.durations.with_label_values(&[queue]).observe(took.as_secs_f64());
    }

    /// Counts were rolled up.
    pub(crate) fn rolled_up(&self, rows: u64) {
        self.usage_rows.inc_by(rows);
    }

    /// Usage was checked.
    pub(crate) fn checked(&self, discrepancies: u64) {
        self.usage_discrepancies.set(i64::try_from(discrepancies).unwrap_or(i64::MAX));
    }

    /// Shows how a queue stands.
    pub(crate) fn measured(&self, depth: &Depth) {
        let states = [
            ("due", depth.due),
            ("later", depth.later),
            ("held", depth.held),
            ("dead", depth.dead),
            ("discarded", depth.discarded),
        ];
        for (state, count) in states {
            self.jobs.with_label_values(&[depth.queue.as_str(), state]).set(count);
        }
        self.oldest.with_label_values(&[depth.queue.as_str()]).set(depth.oldest_seconds);
    }
}
