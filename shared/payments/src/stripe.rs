//! Cards, by Stripe: customers, setup intents, off-session payment intents, refunds, disputes (docs.stripe.com/api).
//!
//! A way to pay is known as `cus_…/pm_…`. What is ours there carries our key in its metadata, by which it is found again.

mod amounts;
mod charges;
mod client;
mod declines;
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
use crate::error::{PaymentError, WebhookError};
use crate::provider::{
    About, ChargeOrder, Fact, Incoming, NewMethod, Notice, Provider, RefundOrder, SavedMethod,
    Settled,
};

pub(crate) use self::client::Access;

/// The provider.
#[derive(Debug)]
pub(crate) struct Stripe {
    client: Client,
    /// All in force; several while one is exchanged.
    webhook_secrets: Vec<Secret<String>>,
}

impl Stripe {
    pub(crate) fn new(access: Access, webhook_secrets: Vec<Secret<String>>) -> Self {
        Self { client: Client::new(access), webhook_secrets }
    }
}

/// An amount as a form says it.
fn amount_text(amount: Money) -> Result<String, PaymentError> {
    match amounts::to_stripe(amount).filter(|amount| *amount > 0) {
        Some(amount) => Ok(amount.to_string()),
        None => Err(PaymentError::Unsupported("Stripe takes no such amount: charge whole steps")),
    }
}

#[async_trait]
impl Provider for Stripe {
    fn name(&self) -> ProviderName {
        ProviderName::Stripe
    }

    fn charge_min(&self, currency: Currency) -> i64 {
        amounts::min(currency)
    }

    fn charge_step(&self, currency: Currency) -> i64 {
        amounts::step(currency)
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
        webhook::parse(&self.webhook_secrets, &incoming)
    }

    async fn read(&self, about: &About) -> Result<Option<Fact>, PaymentError> {
        match about {
            About::Charge(id) => charges::read(&self.client, id).await,
            About::Refund(id) => refunds::read(&self.client, id).await,
            About::Dispute(id) => refunds::read_dispute(&self.client, id).await,
            About::Method(id) => methods::read(&self.client, id).await,
            About::Nothing => Ok(None),
        }
    }

    async fn settled(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Settled>, PaymentError> {
        settled::settled(&self.client, from, to).await
    }
}
