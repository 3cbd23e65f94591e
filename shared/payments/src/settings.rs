//! `[payments]` of the settings, and the providers that it sets up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::payment::ProviderName;
use domain::plan::PlanName;
use domain::secret::Secret;
use serde::Deserialize;
use url::{Host, Url};

use crate::bank_transfer::BankTransfer;
use crate::btcpay::{self, BtcPay};
use crate::call::Caller;
use crate::paypal::{self, PayPal};
use crate::provider::Provider;
use crate::sandbox::Sandbox;
use crate::stripe::{self, Stripe};

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
    timeout: Duration,
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
        if self.sandbox && production {
            return Err(ProvidersError::Sandbox);
        }
        let sandbox = self.sandbox.then(|| Arc::new(Sandbox) as Arc<dyn Provider>);
        let bank = &self.bank_transfer;
        let bank_transfer = bank.enabled.then(|| Arc::new(BankTransfer) as Arc<dyn Provider>);
        let open = Opening { production, timeout: self.timeout() };
        let all = [
            (sandbox, &[][..]),
            (open.stripe(&self.stripe)?, &self.stripe.plans),
            (open.paypal(&self.paypal)?, &self.paypal.plans),
            (open.btcpay(&self.btcpay)?, &self.btcpay.plans),
            (bank_transfer, &bank.plans),
        ];
        let by_name = all.into_iter().filter_map(|(provider, plans)| {
            let provider = provider?;
            Some((provider.name(), Entry { provider, plans: plans.to_vec() }))
        });
        let return_url =
            if self.return_url.is_empty() { public_url } else { &self.return_url }.to_owned();
        Ok(Providers { by_name: by_name.collect(), return_url, timeout: self.timeout() })
    }
}

/// How providers are opened.
struct Opening {
    production: bool,
    timeout: Duration,
}

/// A provider, where it is set up.
type Opened = Result<Option<Arc<dyn Provider>>, ProvidersError>;

impl Opening {
    fn stripe(&self, settings: &StripeSettings) -> Opened {
        let StripeSettings { base_url, secret_key, webhook_secrets, .. } = settings;
        if secret_key.expose().is_empty() {
            return Ok(None);
        }
        if webhook_secrets.is_empty() || webhook_secrets.iter().any(is_empty) {
            return incomplete(
                "stripe.webhook_secrets is empty; make a webhook at Stripe and name its secret (`whsec_…`)",
            );
        }
        let caller = self.caller(base_url, "stripe.base_url must be an https URL")?;
        let access = stripe::Access { caller, secret_key: secret_key.clone() };
        Ok(Some(Arc::new(Stripe::new(access, webhook_secrets.clone()))))
    }

    fn paypal(&self, settings: &PayPalSettings) -> Opened {
        let PayPalSettings { base_url, client_id, client_secret, webhook_id, .. } = settings;
        if client_id.is_empty() {
            return Ok(None);
        }
        if is_empty(client_secret) {
            return incomplete("paypal.client_secret is empty; it is shown beside the client id");
        }
        if webhook_id.is_empty() {
            return incomplete(
                "paypal.webhook_id is empty; add a webhook to the REST app and name its id",
            );
        }
        let caller = self.caller(base_url, "paypal.base_url must be an https URL")?;
        let (client_id, client_secret) = (client_id.clone(), client_secret.clone());
        let access = paypal::Access { caller, client_id, client_secret };
        Ok(Some(Arc::new(PayPal::new(access, webhook_id.clone()))))
    }

    fn btcpay(&self, settings: &BtcPaySettings) -> Opened {
        let BtcPaySettings { base_url, api_key, store_id, webhook_secret, .. } = settings;
        if base_url.is_empty() && store_id.is_empty() {
            return Ok(None);
        }
        if store_id.is_empty() {
            return incomplete("btcpay.store_id is empty; it is in the store's general settings");
        }
        if is_empty(api_key) {
            return incomplete(
                "btcpay.api_key is empty; make one for the store (docs/payments.md)",
            );
        }
        if is_empty(webhook_secret) {
            return incomplete(
                "btcpay.webhook_secret is empty; add a webhook to the store and name its secret",
            );
        }
        let caller = self.caller(base_url, "btcpay.base_url must be an https URL")?;
        let (api_key, store_id) = (api_key.clone(), store_id.clone());
        let access = btcpay::Access { caller, api_key, store_id };
        Ok(Some(Arc::new(BtcPay::new(access, webhook_secret.clone()))))
    }

    /// Keys and charges are sent to this URL: in the clear only where no real ones are, or within the machine.
    fn caller(&self, base_url: &str, remedy: &'static str) -> Result<Caller, ProvidersError> {
        let url: Url = base_url.parse().map_err(|_| ProvidersError::Incomplete(remedy))?;
        let is_local = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        let is_safe =
            url.scheme() == "https" || (url.scheme() == "http" && (is_local || !self.production));
        let is_bare =
            url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if !is_safe || !is_bare {
            return Err(ProvidersError::Incomplete(remedy));
        }
        Caller::new(url, self.timeout)
    }
}

fn is_empty(secret: &Secret<String>) -> bool {
    secret.expose().is_empty()
}

fn incomplete(remedy: &'static str) -> Opened {
    Err(ProvidersError::Incomplete(remedy))
}

impl Providers {
    /// One that is set up.
    #[must_use]
    pub fn get(&self, name: ProviderName) -> Option<&Arc<dyn Provider>> {
        self.by_name.get(&name).map(|entry| &entry.provider)
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

    /// How long a provider may take to answer a call.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Where customers come back to from a provider's page.
    #[must_use]
    pub fn return_url(&self) -> &str {
        &self.return_url
    }
}

#[cfg(test)]
mod tests;
