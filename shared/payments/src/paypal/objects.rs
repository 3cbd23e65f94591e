//! `PayPal`'s objects, as much of them as we read, and what they mean in our words.

use domain::money::Money;
use domain::payment::{
    Charge, ChargeKey, ChargeState, Decline, MethodLabel, Refund, RefundKey, RefundState,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::call::short;
use crate::decimal;
use crate::error::PaymentError;

/// What the reference of a charge begins with that has no capture yet.
const ORDER: &str = "order-";
/// What an order's key is replaced by when we have withdrawn it.
pub(super) const WITHDRAWN: &str = "withdrawn";

/// Codes after which the same account is not asked again: it, or our leave to charge it, is gone. All others are of the
/// balance, the card behind the account or the risk of the day.
const HARD: [&str; 10] = [
    "AGREEMENT_ALREADY_CANCELLED",
    "BILLING_AGREEMENT_NOT_FOUND",
    "CARD_CLOSED",
    "CARD_EXPIRED",
    "INVALID_RESOURCE_ID",
    "PAYER_ACCOUNT_LOCKED_OR_CLOSED",
    "PAYER_ACCOUNT_RESTRICTED",
    "RESOURCE_NOT_FOUND",
    "TOKEN_ID_NOT_FOUND",
    "VAULT_ID_NOT_FOUND",
];
/// Codes of a refusal of the payer, not of the call.
const SOFT: [&str; 8] = [
    "COMPLIANCE_VIOLATION",
    "INSTRUMENT_DECLINED",
    "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED",
    "PAYER_CANNOT_PAY",
    "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING",
    "TRANSACTION_LIMIT_EXCEEDED",
    "TRANSACTION_REFUSED",
    "TRANSACTION_BLOCKED_BY_PAYEE",
];

/// What a code of a refused call says of the payer. `None`: it is about the call.
pub(super) fn decline_of(code: &str) -> Option<Decline> {
    let hard = HARD.contains(&code);
    (hard || SOFT.contains(&code)).then(|| Decline { hard, code: short(code) })
}

/// Where to go on.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    #[serde(default)]
    rel: String,
    #[serde(default)]
    href: String,
}

pub(super) fn link(links: &[Link], rel: &str) -> Option<String> {
    links.iter().find(|link| link.rel == rel).map(|link| link.href.clone())
}

/// An amount.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Value {
    pub(super) currency_code: String,
    pub(super) value: String,
}

impl Value {
    pub(super) fn of(amount: Money) -> Result<Self, PaymentError> {
        let currency_code = amount.currency.as_str().to_owned();
        Ok(Self { currency_code, value: super::value(amount)? })
    }

    pub(super) fn money(&self) -> Result<Money, PaymentError> {
        let currency = self.currency_code.parse().ok();
        let amount = currency.and_then(|currency| decimal::parse(&self.value, currency));
        amount.filter(|(_, exact)| *exact).map(|(amount, _)| amount).ok_or_else(no_amount)
    }
}

fn no_amount() -> PaymentError {
    PaymentError::Unavailable("its answer holds no amount of money".to_owned())
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Related {
    #[serde(default)]
    pub(super) related_ids: RelatedIds,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct RelatedIds {
    pub(super) order_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Reason {
    reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Response {
    response_code: Option<String>,
}

/// Money that came in, or would have.
#[derive(Debug, Deserialize)]
pub(super) struct Capture {
    pub(super) id: String,
    status: String,
    amount: Value,
    custom_id: Option<String>,
    status_details: Option<Reason>,
    processor_response: Option<Response>,
    #[serde(default)]
    pub(super) supplementary_data: Related,
}

impl Capture {
    pub(super) fn key(&self) -> Option<ChargeKey> {
        self.custom_id.as_deref()?.parse().ok()
    }

    pub(super) fn into_charge(self) -> Result<Charge, PaymentError> {
        let amount = self.amount.money()?;
        let state = match self.status.as_str() {
            "COMPLETED" | "PARTIALLY_REFUNDED" | "REFUNDED" => ChargeState::Succeeded,
            "DECLINED" | "FAILED" => {
                let code = self.processor_response.and_then(|response| response.response_code);
                let reason = self.status_details.and_then(|details| details.reason);
                let code = code.or(reason).unwrap_or(self.status);
                let hard = HARD.contains(&code.as_str());
                ChargeState::Declined(Decline { hard, code: short(&code) })
            }
            // `PENDING`: an eCheck, or a look at the risk.
            _ => ChargeState::Processing,
        };
        Ok(Charge { reference: self.id, amount, state })
    }
}

#[derive(Debug, Default, Deserialize)]
struct Payments {
    #[serde(default)]
    captures: Vec<Capture>,
    #[serde(default)]
    refunds: Vec<RefundObject>,
}

#[derive(Debug, Deserialize)]
struct PurchaseUnit {
    amount: Option<Value>,
    custom_id: Option<String>,
    #[serde(default)]
    payments: Payments,
}

/// A charge, with what came of it.
#[derive(Debug, Deserialize)]
pub(super) struct Order {
    pub(super) id: String,
    #[serde(default)]
    pub(super) status: String,
    #[serde(default)]
    purchase_units: Vec<PurchaseUnit>,
    #[serde(default)]
    links: Vec<Link>,
}

/// The reference of a charge of which there is an order only.
pub(super) fn order_reference(id: &str) -> String {
    format!("{ORDER}{id}")
}

/// The order of such a reference.
pub(super) fn order_of(reference: &str) -> Option<&str> {
    reference.strip_prefix(ORDER)
}

impl Order {
    fn custom_id(&self) -> Option<&str> {
        self.purchase_units.first()?.custom_id.as_deref()
    }

    pub(super) fn key(&self) -> Option<ChargeKey> {
        self.custom_id()?.parse().ok()
    }

    pub(super) fn has_capture(&self) -> bool {
        self.purchase_units.iter().any(|unit| !unit.payments.captures.is_empty())
    }

    /// Whether the payer has agreed, and all that is left to do is to take the money.
    pub(super) fn waits_for_us(&self) -> bool {
        self.status == "APPROVED" && !self.has_capture() && self.custom_id() != Some(WITHDRAWN)
    }

    pub(super) fn into_refunds(self) -> impl Iterator<Item = RefundObject> {
        self.purchase_units.into_iter().flat_map(|unit| unit.payments.refunds)
    }

    pub(super) fn into_capture(self) -> Option<Capture> {
        // The last one: earlier ones were declined.
        self.purchase_units.into_iter().flat_map(|unit| unit.payments.captures).last()
    }

    pub(super) fn into_charge(self) -> Result<Charge, PaymentError> {
        if self.has_capture() {
            return self.into_capture().map_or_else(|| Err(no_amount()), Capture::into_charge);
        }
        let unit = self.purchase_units.first();
        let amount = unit.and_then(|unit| unit.amount.as_ref()).ok_or_else(no_amount)?.money()?;
        let state = match self.status.as_str() {
            _ if self.custom_id() == Some(WITHDRAWN) => ChargeState::Canceled,
            "VOIDED" => ChargeState::Canceled,
            "PAYER_ACTION_REQUIRED" | "CREATED" => ChargeState::ActionRequired {
                url: link(&self.links, "payer-action").or_else(|| link(&self.links, "approve")),
            },
            _ => ChargeState::Processing,
        };
        Ok(Charge { reference: order_reference(&self.id), amount, state })
    }
}

/// Money that goes back.
#[derive(Debug, Deserialize)]
pub(super) struct RefundObject {
    id: String,
    status: Option<String>,
    amount: Option<Value>,
    custom_id: Option<String>,
    create_time: Option<Timestamp>,
}

impl RefundObject {
    pub(super) fn key(&self) -> Option<RefundKey> {
        self.custom_id.as_deref()?.parse().ok()
    }

    pub(super) fn into_refund(self) -> Result<Refund, PaymentError> {
        let state = match self.status.as_deref() {
            Some("COMPLETED") => RefundState::Succeeded,
            Some("FAILED" | "CANCELLED") => RefundState::Failed,
            _ => RefundState::Processing,
        };
        let amount = self.amount.as_ref().ok_or_else(no_amount)?.money()?;
        Ok(Refund { reference: self.id, amount, begun_at: self.create_time, state })
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Customer {
    pub(super) merchant_customer_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Account {
    email_address: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Source {
    paypal: Option<Account>,
}

/// A way to pay in the vault, or on its way there.
#[derive(Debug, Deserialize)]
pub(super) struct Vaulted {
    pub(super) id: String,
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) customer: Customer,
    #[serde(default)]
    payment_source: Source,
    #[serde(default)]
    links: Vec<Link>,
}

impl Vaulted {
    pub(super) fn label(&self) -> MethodLabel {
        let email =
            self.payment_source.paypal.as_ref().and_then(|paypal| paypal.email_address.clone());
        MethodLabel { email, ..MethodLabel::default() }
    }

    pub(super) fn approve_url(&self) -> Option<String> {
        link(&self.links, "approve")
    }
}

#[cfg(test)]
mod tests;
