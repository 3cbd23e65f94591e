//! Stripe's objects, as much of them as we read, and what they mean in our words.

use std::collections::BTreeMap;

use domain::money::Money;
use domain::payment::{
    Charge, ChargeKey, ChargeState, Decline, Dispute, DisputeState, MethodLabel, Refund, RefundKey,
    RefundState,
};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;

use super::amounts::from_stripe;
use crate::call::{self, short};
use crate::error::PaymentError;

/// Under which our keys are kept with what is theirs.
pub(super) const OURS: &str = "pytake";
/// Where a way to pay says whose customer it belongs to, also once it is detached.
pub(super) const CUSTOMER: &str = "pytake_customer";

pub(super) type Metadata = BTreeMap<String, String>;

/// Why a call was refused, or the last attempt of a charge.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Refusal {
    #[serde(skip)]
    pub(super) status: u16,
    pub(super) code: Option<String>,
    pub(super) decline_code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) param: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    /// The charge as it is after a decline.
    pub(super) payment_intent: Option<Box<Intent>>,
}

impl call::Refusal for Refusal {
    fn status(&self) -> u16 {
        self.status
    }

    fn into_error(self) -> PaymentError {
        let code = self.code.or(self.kind).unwrap_or_else(|| self.status.to_string());
        let message = self.message.unwrap_or_default();
        PaymentError::Refused { code: short(&code), message: short(&message) }
    }
}

/// A page of a list, newest first.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) data: Vec<T>,
    #[serde(default)]
    pub(super) has_more: bool,
}

/// What has an id.
pub(super) trait Object {
    fn id(&self) -> &str;
}

#[derive(Debug, Deserialize)]
pub(super) struct NextAction {
    redirect_to_url: Option<RedirectToUrl>,
}

#[derive(Debug, Deserialize)]
struct RedirectToUrl {
    url: Option<String>,
}

impl NextAction {
    pub(super) fn into_url(self) -> Option<String> {
        self.redirect_to_url?.url
    }
}

/// A charge.
#[derive(Debug, Deserialize)]
pub(super) struct Intent {
    pub(super) id: String,
    amount: i64,
    amount_received: Option<i64>,
    currency: String,
    pub(super) status: String,
    #[serde(default)]
    metadata: Metadata,
    next_action: Option<NextAction>,
    pub(super) last_payment_error: Option<Refusal>,
    created: i64,
}

impl Object for Intent {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Intent {
    /// Whose it is. `None`: not ours.
    pub(super) fn key(&self) -> Option<ChargeKey> {
        self.metadata.get(OURS)?.parse().ok()
    }

    pub(super) fn created(&self) -> Result<Timestamp, PaymentError> {
        at(self.created)
    }

    pub(super) fn has_succeeded(&self) -> bool {
        self.status == "succeeded"
    }

    /// Whether it was refused because the bank wants to hear it from the customer, who was not asked yet.
    pub(super) fn needs_customer(&self) -> bool {
        self.status == "requires_payment_method"
            && self.last_payment_error.as_ref().is_some_and(Refusal::needs_customer)
    }

    pub(super) fn amount(&self) -> Result<Money, PaymentError> {
        let amount = match self.amount_received {
            Some(received) if self.has_succeeded() => received,
            _ => self.amount,
        };
        money(amount, &self.currency)
    }

    /// In our words.
    pub(super) fn into_charge(self) -> Result<Charge, PaymentError> {
        let amount = self.amount()?;
        let state = match self.status.as_str() {
            "succeeded" => ChargeState::Succeeded,
            "canceled" => ChargeState::Canceled,
            "requires_action" => {
                ChargeState::ActionRequired { url: self.next_action.and_then(NextAction::into_url) }
            }
            "requires_payment_method" => match &self.last_payment_error {
                Some(refusal) if refusal.needs_customer() => {
                    ChargeState::ActionRequired { url: None }
                }
                Some(refusal) => ChargeState::Declined(refusal.decline()),
                None => ChargeState::Declined(Decline { hard: false, code: self.status }),
            },
            // `processing`, and what our charges never are for longer: `requires_confirmation`, `requires_capture`.
            _ => ChargeState::Processing,
        };
        Ok(Charge { reference: self.id, amount, state })
    }
}

/// Money that goes back.
#[derive(Debug, Deserialize)]
pub(super) struct RefundObject {
    id: String,
    amount: i64,
    currency: String,
    status: Option<String>,
    #[serde(default)]
    metadata: Metadata,
    created: i64,
}

impl Object for RefundObject {
    fn id(&self) -> &str {
        &self.id
    }
}

impl RefundObject {
    pub(super) fn key(&self) -> Option<RefundKey> {
        self.metadata.get(OURS)?.parse().ok()
    }

    pub(super) fn created(&self) -> Result<Timestamp, PaymentError> {
        at(self.created)
    }

    pub(super) fn into_refund(self) -> Result<Refund, PaymentError> {
        let state = match self.status.as_deref() {
            Some("succeeded") => RefundState::Succeeded,
            Some("failed" | "canceled") => RefundState::Failed,
            // `pending`, `requires_action`.
            _ => RefundState::Processing,
        };
        let amount = money(self.amount, &self.currency)?;
        let begun_at = Some(at(self.created)?);
        Ok(Refund { reference: self.id, amount, begun_at, state })
    }
}

/// What may come whole, if one asked for it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Expanded {
    Whole(Box<Intent>),
    Id(String),
}

/// A payment that its payer disputes.
#[derive(Debug, Deserialize)]
pub(super) struct DisputeObject {
    id: String,
    amount: i64,
    currency: String,
    status: String,
    reason: String,
    payment_intent: Option<Expanded>,
    created: i64,
}

impl Object for DisputeObject {
    fn id(&self) -> &str {
        &self.id
    }
}

impl DisputeObject {
    /// Whose it is, where the charge came with it. `None`: not ours.
    pub(super) fn key(&self) -> Option<ChargeKey> {
        match self.payment_intent.as_ref()? {
            Expanded::Whole(intent) => intent.key(),
            Expanded::Id(_) => None,
        }
    }

    /// In our words. `None`: an inquiry (`warning_…`), which holds nothing back; it may become a dispute.
    pub(super) fn into_dispute(self) -> Result<Option<Dispute>, PaymentError> {
        let state = match self.status.as_str() {
            "needs_response" | "under_review" => DisputeState::Open,
            "lost" => DisputeState::Lost,
            // Refunded instead: the refund took the money, and nothing is held back besides.
            "won" | "charge_refunded" => DisputeState::Won,
            _ => return Ok(None),
        };
        let charge_reference = match self.payment_intent {
            Some(Expanded::Whole(intent)) => intent.id,
            Some(Expanded::Id(id)) => id,
            None => return Ok(None),
        };
        Ok(Some(Dispute {
            reference: self.id,
            charge_reference,
            amount: money(self.amount, &self.currency)?,
            reason: short(&self.reason),
            opened_at: at(self.created)?,
            state,
        }))
    }
}

/// Whom ways to pay belong to.
#[derive(Debug, Deserialize)]
pub(super) struct Customer {
    pub(super) id: String,
    #[serde(default)]
    pub(super) metadata: Metadata,
}

#[derive(Debug, Deserialize)]
struct Card {
    brand: Option<String>,
    last4: Option<String>,
    exp_month: Option<i8>,
    exp_year: Option<i16>,
}

/// A way to pay.
#[derive(Debug, Deserialize)]
pub(super) struct Method {
    #[serde(rename = "type")]
    kind: String,
    card: Option<Card>,
    pub(super) customer: Option<String>,
    #[serde(default)]
    pub(super) metadata: Metadata,
}

impl Method {
    pub(super) fn label(&self) -> MethodLabel {
        let Some(card) = &self.card else {
            return MethodLabel { brand: Some(short(&self.kind)), ..MethodLabel::default() };
        };
        let month = card.exp_year.zip(card.exp_month);
        MethodLabel {
            brand: card.brand.as_deref().map(short),
            last_four: card.last4.as_deref().map(short),
            expires_on: month
                .and_then(|(year, month)| Some(Date::new(year, month, 1).ok()?.last_of_month())),
            email: None,
        }
    }
}

/// The keeping of a way to pay.
#[derive(Debug, Deserialize)]
pub(super) struct SetupIntent {
    pub(super) status: String,
    pub(super) next_action: Option<NextAction>,
    pub(super) last_setup_error: Option<Refusal>,
}

fn money(amount: i64, currency: &str) -> Result<Money, PaymentError> {
    from_stripe(amount, currency)
        .ok_or_else(|| PaymentError::Unavailable("its answer holds no amount of money".to_owned()))
}

fn at(second: i64) -> Result<Timestamp, PaymentError> {
    Timestamp::from_second(second)
        .map_err(|_| PaymentError::Unavailable("its answer holds no time".to_owned()))
}

#[cfg(test)]
mod tests;
