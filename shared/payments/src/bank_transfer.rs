//! Transfers to our account: the customer sends them, statements tell of them, and nobody is asked over a network.

use async_trait::async_trait;
use domain::money::Currency;
use domain::payment::{Charge, MethodLabel, ProviderName, Refund};
use domain::secret::Secret;
use jiff::Timestamp;

use crate::error::{PaymentError, WebhookError};
use crate::provider::{
    About, ChargeOrder, Fact, Incoming, MethodState, NewMethod, Notice, Provider, RefundOrder,
    SavedMethod, Settled,
};

/// The provider.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BankTransfer;

/// There is nothing to know a way to pay by: whoever transfers names the invoice.
const TOKEN: &str = "bank-transfer";

const COMES_BY_ITSELF: PaymentError =
    PaymentError::Unsupported("a transfer comes by itself, and is told of by a statement");

#[async_trait]
impl Provider for BankTransfer {
    fn name(&self) -> ProviderName {
        ProviderName::BankTransfer
    }

    fn charge_min(&self, _currency: Currency) -> i64 {
        1
    }

    fn charge_step(&self, _currency: Currency) -> i64 {
        1
    }

    async fn save_method(&self, _wish: &NewMethod<'_>) -> Result<SavedMethod, PaymentError> {
        let token = Secret::new(TOKEN.to_owned());
        Ok(SavedMethod { token, label: MethodLabel::default(), state: MethodState::Usable })
    }

    async fn confirm_method(&self, token: &Secret<String>) -> Result<SavedMethod, PaymentError> {
        let token = token.clone();
        Ok(SavedMethod { token, label: MethodLabel::default(), state: MethodState::Usable })
    }

    async fn forget_method(&self, _token: &Secret<String>) -> Result<(), PaymentError> {
        Ok(())
    }

    async fn charge(&self, _order: &ChargeOrder<'_>) -> Result<Charge, PaymentError> {
        Err(COMES_BY_ITSELF)
    }

    async fn look_up(&self, _order: &ChargeOrder<'_>) -> Result<Option<Charge>, PaymentError> {
        Err(COMES_BY_ITSELF)
    }

    async fn cancel(&self, _reference: &str) -> Result<Charge, PaymentError> {
        Err(COMES_BY_ITSELF)
    }

    async fn refund(&self, _order: &RefundOrder<'_>) -> Result<Refund, PaymentError> {
        Err(PaymentError::Unsupported("transfer the money back by hand, and record it"))
    }

    async fn look_up_refund(
        &self,
        _order: &RefundOrder<'_>,
    ) -> Result<Option<Refund>, PaymentError> {
        Ok(None)
    }

    async fn parse_webhook(&self, _incoming: Incoming<'_>) -> Result<Notice, WebhookError> {
        Err(WebhookError::Unexpected)
    }

    async fn read(&self, _about: &About) -> Result<Option<Fact>, PaymentError> {
        Ok(None)
    }

    async fn settled(
        &self,
        _from: Timestamp,
        _to: Timestamp,
    ) -> Result<Vec<Settled>, PaymentError> {
        Err(PaymentError::Unsupported("what a bank account received is in its statements"))
    }
}
