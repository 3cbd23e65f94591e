//! `[payments]` of the settings, and the providers that it sets up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::payment::ProviderName;
use domain::plan::PlanName;
use domain::secret::Secret;
use serde::Deserialize;

use crate::provider::Provider;
use crate::sandbox::Sandbox;

/// `[payments]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentSettings {
    /// Whether the local sandbox takes cards.
    sandbox: bool,
    /// Where customers come back to from a provider's page; empty: what mailed links start with.
    pub return_url: String,
    timeout_seconds: u64,
    stripe: StripeSettings,
    paypal: PayPalSettings,
    btcpay: BtcPaySettings,
    bank_transfer: BankTransferSettings,
}

/// `[payments.stripe]`; without a key it is not set up.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StripeSettings {
    pub(crate) base_url: String,
    pub(crate) secret_key: Secret<String>,
    /// Several during a rotation.
    pub(crate) webhook_secrets: Vec<Secret<String>>,
    pub(crate) plans: Vec<PlanName>,
}

/// `[payments.paypal]`; without a client it is not set up.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PayPalSettings {
    pub(crate) base_url: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret<String>,
    pub(crate) webhook_id: String,
    pub(crate) plans: Vec<PlanName>,
}

/// `[payments.btcpay]`; without a store it is not set up.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BtcPaySettings {
    pub(crate) base_url: String,
    pub(crate) api_key: Secret<String>,
    pub(crate) store_id: String,
    pub(crate) webhook_secret: Secret<String>,
    pub(crate) plans: Vec<PlanName>,
}

/// `[payments.bank_transfer]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BankTransferSettings {
    pub(crate) enabled: bool,
    pub(crate) plans: Vec<PlanName>,
    pub(crate) statements_dir: String,
}

/// Settings of providers that must not be.
#[derive(Debug, thiserror::Error)]
pub enum ProvidersError {
    /// Play money for real customers.
    #[error("payments.sandbox takes any card and no money; set it false in production")]
    Sandbox,
    /// Half of what a provider needs.
    #[error("payments.{0}")]
    Incomplete(&'static str),
    /// No client can be made.
    #[error("payments: no HTTP client: {0}")]
    Client(String),
}

/// The providers that are set up.
#[derive(Debug, Clone)]
pub struct Providers {
    by_name: BTreeMap<ProviderName, Entry>,
    return_url: String,
}

#[derive(Debug, Clone)]
struct Entry {
    provider: Arc<dyn Provider>,
    /// Whose tenants may use it; empty: everybody's.
    plans: Vec<PlanName>,
}

impl PaymentSettings {
    /// How long a provider may take to answer.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    /// Where files of statements come in, if there is such a folder.
    #[must_use]
    pub fn statements_dir(&self) -> Option<PathBuf> {
        Some(&self.bank_transfer.statements_dir).filter(|dir| !dir.is_empty()).map(PathBuf::from)
    }

    /// The providers. `production`: real customers; `public_url`: where they come back to, unless the settings say.
    ///
    /// # Errors
    /// When the sandbox would charge real customers, or what a provider needs is missing.
    pub fn open(&self, production: bool, public_url: &str) -> Result<Providers, ProvidersError> {
        let mut by_name = BTreeMap::new();
        if self.sandbox {
            if production {
                return Err(ProvidersError::Sandbox);
            }
            let entry = Entry { provider: Arc::new(Sandbox), plans: Vec::new() };
            by_name.insert(ProviderName::Sandbox, entry);
        }
        let return_url =
            if self.return_url.is_empty() { public_url } else { &self.return_url }.to_owned();
        Ok(Providers { by_name, return_url })
    }
}

impl Providers {
    /// One that is set up.
    #[must_use]
    pub fn get(&self, name: ProviderName) -> Option<&Arc<dyn Provider>> {
        self.by_name.get(&name).map(|entry| &entry.provider)
    }

    /// Whether one of them charges ways to pay on file.
    #[must_use]
    pub fn charges(&self) -> bool {
        self.by_name.keys().any(|name| name.pulls())
    }

    /// All that are set up.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Provider>> {
        self.by_name.values().map(|entry| &entry.provider)
    }

    /// Those by which a tenant of a plan may pay.
    pub fn of_plan(&self, plan: PlanName) -> impl Iterator<Item = ProviderName> {
        let open = move |entry: &Entry| entry.plans.is_empty() || entry.plans.contains(&plan);
        self.by_name.iter().filter(move |(_, entry)| open(entry)).map(|(name, _)| *name)
    }

    /// Where customers come back to from a provider's page.
    #[must_use]
    pub fn return_url(&self) -> &str {
        &self.return_url
    }
}
