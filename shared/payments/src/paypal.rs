//! `PayPal` accounts: Vault v3 keeps them, Orders v2 charges them, Payments v2 gives back (developer.paypal.com).
//!
//! **What a charge is known by.** By its capture, once there is one: refunds, disputes, webhooks and the report of
//! transactions name captures and nothing else. Until then, while the payer has to agree, by its order: `order-…`.
//! Either may be asked for.
//!
//! **How it is found again.** `PayPal` has no list of orders. What was asked for less than six hours ago is kept under
//! its `PayPal-Request-Id`, so that asking again makes nothing new; what is older than three is in the report of
//! transactions, which is looked through for our key. And a number of an invoice and attempt is taken once only.

mod charges;
mod client;
mod disputes;
mod methods;
mod objects;
mod refunds;
mod settled;
mod webhook;

use async_trait::async_trait;
use domain::money::{Currency, Money};
use domain::payment::{Charge, ProviderName, Refund};
use domain::secret::Secret;
use jiff::Timestamp;

use self::client::Client;
use crate::decimal;
use crate::error::{PaymentError, WebhookError};
use crate::provider::{
    About, ChargeOrder, Fact, Incoming, NewMethod, Notice, Provider, RefundOrder, SavedMethod,
    Settled,
};

pub(crate) use self::client::Access;

/// The provider.
#[derive(Debug)]
pub(crate) struct PayPal {
    client: Client,
    webhook: webhook::Checks,
}

impl PayPal {
    /// `webhook_id`: of the webhook that calls us.
    pub(crate) fn new(access: Access, webhook_id: String) -> Self {
        let webhook = webhook::Checks::new(&access.caller, webhook_id);
        Self { client: Client::new(access), webhook }
    }
}

/// Digits after the point; of these three `PayPal` takes none, although two of them have some.
fn digits(currency: Currency) -> u32 {
    match currency.as_str() {
        "HUF" | "JPY" | "TWD" => 0,
        _ => currency.minor_digits(),
    }
}

/// An amount in `PayPal`'s form.
fn value(amount: Money) -> Result<String, PaymentError> {
    decimal::text(amount, digits(amount.currency))
        .filter(|_| amount.amount_minor > 0)
        .ok_or(PaymentError::Unsupported("PayPal takes no such amount: charge whole steps"))
}

#[async_trait]
impl Provider for PayPal {
    fn name(&self) -> ProviderName {
        ProviderName::PayPal
    }

    fn charge_min(&self, currency: Currency) -> i64 {
        // No minimum is published: one of the smallest that can be said.
        self.charge_step(currency)
    }

    fn charge_step(&self, currency: Currency) -> i64 {
        10_i64.pow(currency.minor_digits() - digits(currency))
    }

    async fn save_method(&self, wish: &NewMethod<'_>) -> Result<SavedMethod, PaymentError> {
        methods::save(&self.client, wish).await
    }

    async fn confirm_method(&self, token: &Secret<String>) -> Result<SavedMethod, PaymentError> {
        methods::confirm(&self.client, token).await
    }

    async fn forget_method(&self, token: &Secret<String>) -> Result<(), PaymentError> {
        methods::forget(&self.client, token).await
    }

    async fn charge(&self, order: &ChargeOrder<'_>) -> Result<Charge, PaymentError> {
        charges::charge(&self.client, order).await
    }

    async fn look_up(&self, order: &ChargeOrder<'_>) -> Result<Option<Charge>, PaymentError> {
        charges::look_up(&self.client, order).await
    }

    async fn cancel(&self, reference: &str) -> Result<Charge, PaymentError> {
        charges::cancel(&self.client, reference).await
    }

    async fn refund(&self, order: &RefundOrder<'_>) -> Result<Refund, PaymentError> {
        refunds::refund(&self.client, order).await
    }

    async fn look_up_refund(
        &self,
        order: &RefundOrder<'_>,
    ) -> Result<Option<Refund>, PaymentError> {
        refunds::look_up(&self.client, order).await
    }

    async fn parse_webhook(&self, incoming: Incoming<'_>) -> Result<Notice, WebhookError> {
        self.webhook.parse(&self.client, &incoming).await
    }

    async fn read(&self, about: &About) -> Result<Option<Fact>, PaymentError> {
        match about {
            About::Charge(reference) => charges::read(&self.client, reference).await,
            About::Refund(id) => refunds::read(&self.client, id).await,
            About::Dispute(id) => disputes::read(&self.client, id).await,
            About::Method(named) => methods::read(&self.client, named).await,
            About::Nothing => Ok(None),
        }
    }

    async fn settled(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Settled>, PaymentError> {
        settled::settled(&self.client, from, to).await
    }
}
