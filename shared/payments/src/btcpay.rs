//! Crypto currencies, by a `BTCPay` Server's Greenfield API: an invoice of its own for each attempt, which the customer
//! pays at its checkout page.
//!
//! The server knows no idempotency keys, but it has an index: an invoice carries our key as its `orderId`, and before
//! one is made it is looked for. Whoever calls sees to it that two do not do so at the same time.

mod charges;
mod client;
mod objects;
mod refunds;
mod webhook;

use async_trait::async_trait;
use domain::money::Currency;
use domain::payment::{Charge, MethodLabel, ProviderName, Refund};
use domain::secret::Secret;
use jiff::Timestamp;

use self::client::Client;
use crate::error::{PaymentError, WebhookError};
use crate::provider::{
    About, ChargeOrder, Fact, Incoming, MethodState, NewMethod, Notice, Provider, RefundOrder,
    SavedMethod, Settled,
};

pub(crate) use self::client::Access;

/// There is nothing to know a way to pay by: the customer chooses at each checkout.
const TOKEN: &str = "btcpay";

/// The provider.
#[derive(Debug)]
pub(crate) struct BtcPay {
    client: Client,
    webhook_secret: Secret<String>,
}

impl BtcPay {
    pub(crate) fn new(access: Access, webhook_secret: Secret<String>) -> Self {
        Self { client: Client::new(access), webhook_secret }
    }
}

fn chosen_at_checkout() -> SavedMethod {
    let token = Secret::new(TOKEN.to_owned());
    SavedMethod { token, label: MethodLabel::default(), state: MethodState::Usable }
}

#[async_trait]
impl Provider for BtcPay {
    fn name(&self) -> ProviderName {
        ProviderName::BtcPay
    }

    fn charge_min(&self, currency: Currency) -> i64 {
        // What moving coins costs is not ours to know; less than half a unit is no payment.
        (10_i64.pow(currency.minor_digits()) / 2).max(1)
    }

    fn charge_step(&self, _currency: Currency) -> i64 {
        1
    }

    async fn save_method(&self, _wish: &NewMethod<'_>) -> Result<SavedMethod, PaymentError> {
        Ok(chosen_at_checkout())
    }

    async fn confirm_method(&self, _token: &Secret<String>) -> Result<SavedMethod, PaymentError> {
        Ok(chosen_at_checkout())
    }

    async fn forget_method(&self, _token: &Secret<String>) -> Result<(), PaymentError> {
        Ok(())
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
        webhook::parse(&self.webhook_secret, self.client.store_id(), &incoming)
    }

    async fn read(&self, about: &About) -> Result<Option<Fact>, PaymentError> {
        match about {
            About::Charge(id) => charges::read(&self.client, id).await,
            About::Refund(id) => refunds::read(&self.client, id).await,
            // Coins do not come back, and nothing is kept of who pays.
            About::Dispute(_) | About::Method(_) | About::Nothing => Ok(None),
        }
    }

    async fn settled(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Settled>, PaymentError> {
        let mut all = charges::settled(&self.client, from, to).await?;
        all.extend(refunds::settled(&self.client, from, to).await?);
        Ok(all)
    }
}
