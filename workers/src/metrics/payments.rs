//! Metrics of payments: what became of attempts, and how many differences there are with providers.

use domain::payment::ProviderName;
use prometheus::{
    IntCounterVec, IntGaugeVec, Registry, register_int_counter_vec_with_registry,
    register_int_gauge_vec_with_registry,
};
use store::charges::ChargeStatus;

/// The metrics.
#[derive(Debug)]
pub(crate) struct PaymentMetrics {
    charges: IntCounterVec,
    differences: IntGaugeVec,
}

impl PaymentMetrics {
    /// Registers them; once a registry.
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            charges: register_int_counter_vec_with_registry!(
                "pytake_charges_total",
                "What providers said of attempts to collect invoices, by state",
                &["provider", "state"],
                registry
            )?,
            differences: register_int_gauge_vec_with_registry!(
                "pytake_payment_differences",
                "Differences with a provider that were open after its last reconciliation: alert above 0",
                &["provider"],
                registry
            )?,
        })
    }

    /// A provider said something of an attempt.
    pub(crate) fn told(&self, provider: ProviderName, status: ChargeStatus) {
        self.charges.with_label_values(&[provider.slug(), status.as_str()]).inc();
    }

    /// A provider was compared.
    pub(crate) fn compared(&self, provider: ProviderName, open: i64) {
        self.differences.with_label_values(&[provider.slug()]).set(open);
    }
}
