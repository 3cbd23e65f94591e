//! The local provider: it takes any card, moves no money, and remembers nothing. What becomes of a charge follows from the
//! card's name alone, so that the same order always has the same end:
//!
//! | token | a charge |
//! | --- | --- |
//! | `card_…` | succeeds |
//! | `card_declined…` | is refused for now; `card_declined_until_3`: succeeds at the third attempt |
//! | `card_lost…` | is refused for good |
//! | `card_confirm…` | waits for its customer |
//! | `card_refused…` | cannot even be kept |

use async_trait::async_trait;
use domain::money::Currency;
use domain::payment::{
    Charge, ChargeState, Decline, MethodLabel, ProviderName, Refund, RefundState,
};
use domain::secret::Secret;
use jiff::Timestamp;

use crate::error::{PaymentError, WebhookError};
use crate::provider::{
    About, ChargeOrder, Fact, Incoming, MethodState, NewMethod, Notice, Provider, RefundOrder,
    SavedMethod, Settled,
};

/// What its tokens begin with.
const PREFIX: &str = "card_";

/// The local provider.
#[derive(Debug, Clone, Copy)]
pub struct Sandbox;

impl Sandbox {
    /// What becomes of an order, without a call: on a test clock it is asked for within a transaction.
    #[must_use]
    pub fn decide(order: &ChargeOrder<'_>) -> Charge {
        let card = order.method.expose().strip_prefix(PREFIX).unwrap_or_default();
        let until = card.strip_prefix("declined_until_").and_then(|text| text.parse::<u32>().ok());
        let decline =
            |hard, code: &str| ChargeState::Declined(Decline { hard, code: code.to_owned() });
        let state = if until.is_some_and(|until| order.key.attempt >= until) {
            ChargeState::Succeeded
        } else if card.starts_with("declined") {
            decline(false, "card_declined")
        } else if card.starts_with("lost") {
            decline(true, "lost_card")
        } else if card.starts_with("confirm") {
            ChargeState::ActionRequired { url: Some(order.return_url.to_owned()) }
        } else {
            ChargeState::Succeeded
        };
        Charge { reference: order.key.idempotency_key(), amount: order.amount, state }
    }
}

#[async_trait]
impl Provider for Sandbox {
    fn name(&self) -> ProviderName {
        ProviderName::Sandbox
    }

    fn charge_min(&self, currency: Currency) -> i64 {
        // Half a unit, as card companies have it.
        10_i64.pow(currency.minor_digits()) / 2
    }

    fn charge_step(&self, _currency: Currency) -> i64 {
        1
    }

    async fn save_method(&self, wish: &NewMethod<'_>) -> Result<SavedMethod, PaymentError> {
        let Some(token) = wish.token else {
            return Err(PaymentError::Unsupported("the sandbox wants a token such as `card_1234`"));
        };
        let declined = |code: &str| Decline { hard: true, code: code.to_owned() };
        let Some(card) = token.expose().strip_prefix(PREFIX) else {
            return Err(PaymentError::Declined(declined("invalid_card")));
        };
        if card.starts_with("refused") {
            return Err(PaymentError::Declined(declined("card_refused")));
        }
        let digits: String = card.chars().filter(char::is_ascii_digit).collect();
        let last_four = digits.len().checked_sub(4).map(|start| digits[start..].to_owned());
        Ok(SavedMethod {
            token: token.clone(),
            label: MethodLabel {
                brand: Some("sandbox".to_owned()),
                last_four,
                ..MethodLabel::default()
            },
            state: MethodState::Usable,
        })
    }

    async fn confirm_method(&self, _token: &Secret<String>) -> Result<SavedMethod, PaymentError> {
        Err(PaymentError::Unsupported("the sandbox asks nobody to confirm a card"))
    }

    async fn forget_method(&self, _token: &Secret<String>) -> Result<(), PaymentError> {
        Ok(())
    }

    async fn charge(&self, order: &ChargeOrder<'_>) -> Result<Charge, PaymentError> {
        Ok(Self::decide(order))
    }

    async fn look_up(&self, order: &ChargeOrder<'_>) -> Result<Option<Charge>, PaymentError> {
        Ok(Some(Self::decide(order)))
    }

    async fn cancel(&self, _reference: &str) -> Result<Charge, PaymentError> {
        Err(PaymentError::Unsupported("the sandbox remembers no charge"))
    }

    async fn refund(&self, order: &RefundOrder<'_>) -> Result<Refund, PaymentError> {
        Ok(Refund {
            reference: order.key.refund_id.to_string(),
            amount: order.amount,
            begun_at: None,
            state: RefundState::Succeeded,
        })
    }

    async fn look_up_refund(
        &self,
        order: &RefundOrder<'_>,
    ) -> Result<Option<Refund>, PaymentError> {
        self.refund(order).await.map(Some)
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
        Err(PaymentError::Unsupported("the sandbox remembers nothing"))
    }
}
