//! A client under test, with the documents that it speaks to, and the orders that all are given.

use std::sync::Arc;

use domain::id::{InvoiceId, RefundId, TenantId};
use domain::money::{Currency, Money};
use domain::payment::{ChargeKey, ProviderName, RefundKey};
use domain::secret::Secret;
use jiff::Timestamp;
use payments::{ChargeOrder, PaymentSettings, Provider, RefundOrder};
use uuid::Uuid;

use crate::replay::Replay;

/// What no error and no log may hold.
pub(crate) const CANARY: &str = "canary-5up3r-s3cr3t";
/// When the attempts began.
pub(crate) const BEGUN: i64 = 1_775_000_000;
pub(crate) const RETURN_URL: &str = "https://app.example/back";
pub(crate) const DESCRIPTION: &str = "PY-2026-000123";

pub(crate) fn tenant_id() -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(1))
}

pub(crate) fn key(attempt: u32) -> ChargeKey {
    let invoice_id = InvoiceId::from_uuid(Uuid::from_u128(2));
    ChargeKey { tenant_id: tenant_id(), invoice_id, attempt }
}

pub(crate) fn refund_key() -> RefundKey {
    let refund_id = RefundId::from_uuid(Uuid::from_u128(3));
    RefundKey { tenant_id: tenant_id(), refund_id }
}

pub(crate) fn usd(amount_minor: i64) -> Money {
    Money { amount_minor, currency: Currency::USD }
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

/// A client, and whom it speaks to.
pub(crate) struct Subject {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) replay: Replay,
    pub(crate) method: Secret<String>,
}

impl Subject {
    pub(crate) async fn start(name: ProviderName) -> Self {
        let (documents, method) = match name {
            ProviderName::Stripe => (include_str!("fixtures/stripe.json"), "cus_1/pm_1"),
            ProviderName::PayPal => (include_str!("fixtures/paypal.json"), "vault/8kk8451t"),
            _ => (include_str!("fixtures/btcpay.json"), "btcpay"),
        };
        let mut words = vec![
            ("refund_key", refund_key().to_string()),
            ("refund_id", refund_key().refund_id.to_string()),
            ("tenant", tenant_id().to_string()),
            ("begun", BEGUN.to_string()),
            ("since", (BEGUN - 3600).to_string()),
            ("until", (BEGUN + 86_400).to_string()),
        ];
        let keys = ["key1", "key2", "key3", "key4", "key5"].into_iter().zip(1..);
        words.extend(keys.map(|(word, attempt)| (word, key(attempt).to_string())));
        let idempotent = ["idem1", "idem2", "idem3", "idem4", "idem5"].into_iter().zip(1..);
        words.extend(idempotent.map(|(word, attempt)| (word, key(attempt).idempotency_key())));
        let replay = Replay::start(documents, &words).await;
        let provider = open(name, &replay.url());
        Self { provider, replay, method: Secret::new(method.to_owned()) }
    }

    pub(crate) fn order(&self, attempt: u32) -> ChargeOrder<'_> {
        ChargeOrder {
            key: key(attempt),
            amount: usd(9_900),
            method: &self.method,
            description: DESCRIPTION,
            reference: None,
            begun_at: at(BEGUN),
            return_url: RETURN_URL,
        }
    }

    pub(crate) fn refund_order<'a>(&self, charge_reference: &'a str) -> RefundOrder<'a> {
        RefundOrder {
            key: refund_key(),
            amount: usd(1_000),
            charge_reference,
            reference: None,
            begun_at: at(BEGUN),
        }
    }
}

/// The client of a provider at this address, by the settings as they are shipped.
pub(crate) fn open(name: ProviderName, url: &str) -> Arc<dyn Provider> {
    // Fails the second time in a process, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let text = std::fs::read_to_string(harness::root().join("config/default.toml")).expect("it");
    let table: toml::Table = text.parse().expect("TOML");
    let mut payments = table["payments"].clone();
    let changes: &[(&str, &str, &str)] = match name {
        ProviderName::Stripe => &[("stripe", "secret_key", CANARY)],
        ProviderName::PayPal => &[
            ("paypal", "client_id", "client"),
            ("paypal", "client_secret", CANARY),
            ("paypal", "webhook_id", "WH-HOOK"),
        ],
        _ => &[
            ("btcpay", "store_id", "store1"),
            ("btcpay", "api_key", CANARY),
            ("btcpay", "webhook_secret", "secret"),
        ],
    };
    let section = changes[0].0;
    for (section, field, value) in changes {
        payments[*section][*field] = (*value).into();
    }
    payments[section]["base_url"] = url.into();
    if name == ProviderName::Stripe {
        payments["stripe"]["webhook_secrets"] = vec!["whsec_old", "whsec_test"].into();
    }
    // The shortest: answers that do not come are waited for.
    payments["timeout_seconds"] = 1.into();
    let settings: PaymentSettings = payments.try_into().expect("settings");
    let providers = settings.open(false, "https://api.example").expect("providers");
    providers.get(name).expect("it is set up").clone()
}
