//! What is counted of counting. Values that the spool keeps itself are read off when they are asked for.

use metering::Spool;
use prometheus::core::Collector;
use prometheus::{IntCounter, IntGauge};

use super::int;

#[derive(Debug)]
pub(crate) struct UsageMetrics {
    batches: IntCounter,
    repeated: IntCounter,
    requests: IntCounter,
    uncounted: IntCounter,
    watermark: IntGauge,
    bytes: IntGauge,
    bytes_max: IntGauge,
    pending: IntGauge,
    damaged: IntGauge,
    has_room: IntGauge,
}

impl UsageMetrics {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            batches: IntCounter::new(
                "pytake_edge_usage_batches_total",
                "Batches of counted usage that were handed over.",
            )?,
            repeated: IntCounter::new(
                "pytake_edge_usage_batches_repeated_total",
                "Batches that had been handed over before, and counted once.",
            )?,
            requests: IntCounter::new(
                "pytake_edge_usage_requests_total",
                "Requests in the batches that were handed over.",
            )?,
            uncounted: IntCounter::new(
                "pytake_edge_usage_uncounted_total",
                "Requests that could not be counted; each is lost usage.",
            )?,
            watermark: IntGauge::new(
                "pytake_edge_usage_watermark_timestamp_seconds",
                "All usage before this time was handed over.",
            )?,
            bytes: IntGauge::new(
                "pytake_edge_usage_bytes",
                "Bytes of usage on disk that waits to be handed over.",
            )?,
            bytes_max: IntGauge::new(
                "pytake_edge_usage_bytes_max",
                "Bytes past which requests are refused (edge.usage_bytes_max).",
            )?,
            pending: IntGauge::new(
                "pytake_edge_usage_batches_waiting",
                "Batches that wait to be handed over.",
            )?,
            damaged: IntGauge::new(
                "pytake_edge_usage_files_damaged",
                "Files of usage that could not be read and were set aside.",
            )?,
            has_room: IntGauge::new(
                "pytake_edge_usage_has_room",
                "1 while requests can be counted; 0: they are refused.",
            )?,
        })
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.batches.clone()),
            Box::new(self.repeated.clone()),
            Box::new(self.requests.clone()),
            Box::new(self.uncounted.clone()),
            Box::new(self.watermark.clone()),
            Box::new(self.bytes.clone()),
            Box::new(self.bytes_max.clone()),
            Box::new(self.pending.clone()),
            Box::new(self.damaged.clone()),
            Box::new(self.has_room.clone()),
        ]
    }

    /// A batch of so many requests was handed over.
    pub(crate) fn shipped(&self, new: bool, requests: u64) {
        if new {
            self.batches.inc();
            self.requests.inc_by(requests);
        } else {
            self.repeated.inc();
        }
    }

    /// It was told that everything before this unix minute was handed over.
    pub(crate) fn reported(&self, watermark: i64) {
        self.watermark.set(watermark.saturating_mul(60));
    }

    /// A request was answered and could not be counted.
    pub(crate) fn uncounted(&self) {
        self.uncounted.inc();
    }

    pub(super) fn read_off(&self, spool: &Spool) {
        match spool.health() {
            Ok(health) => {
                self.bytes.set(int(health.bytes_used));
                self.bytes_max.set(int(health.bytes_max));
                self.pending.set(int(health.pending_batches as u64));
                self.damaged.set(int(health.damaged_files as u64));
                self.has_room.set(i64::from(health.has_room));
            }
            Err(error) => tracing::warn!(%error, "the usage on disk cannot be looked at: {error}"),
        }
    }
}
