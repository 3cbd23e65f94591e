//! The server's objects, as much of them as we read, and what they mean in our words.
//!
//! | status | additional | in our words |
//! | --- | --- | --- |
//! | New | any | the customer has to pay, or to pay the rest |
//! | Processing | any | on its way: not confirmed by the chain yet |
//! | Settled | any | succeeded, with what was paid: `PaidOver` is more than was asked for |
//! | Expired | None | canceled |
//! | Expired | `PaidPartial`, `PaidLate` | canceled, as the server books it. An operator who wants the coins to count marks the invoice as settled; then it is, with what was paid |
//! | Invalid | any | canceled: withdrawn, or never confirmed |

use domain::money::Money;
use domain::payment::{Charge, ChargeKey, ChargeState, Refund, RefundKey, RefundState};
use jiff::Timestamp;
use serde::Deserialize;

use crate::decimal;
use crate::error::PaymentError;

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    #[serde(rename = "orderId")]
    order_id: Option<String>,
}

/// A charge.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Invoice {
    pub(super) id: String,
    pub(super) status: String,
    amount: String,
    /// Since version 2 of the server; before, what was paid over is not told.
    paid_amount: Option<String>,
    currency: String,
    checkout_link: Option<String>,
    created_time: i64,
    #[serde(default)]
    metadata: Metadata,
}

impl Invoice {
    pub(super) fn key(&self) -> Option<ChargeKey> {
        self.metadata.order_id.as_deref()?.parse().ok()
    }

    pub(super) fn created(&self) -> Result<Timestamp, PaymentError> {
        at(self.created_time)
    }

    /// What was asked for; what was paid, once it counts. An operator who marks an invoice as settled that nothing was
    /// paid of by coins vouches for all of it.
    fn amount(&self) -> Result<Money, PaymentError> {
        let paid = self.paid_amount.as_deref().filter(|_| self.status == "Settled");
        let paid = paid.map(|text| money(text, &self.currency)).transpose()?;
        match paid.filter(|paid| paid.amount_minor > 0) {
            Some(paid) => Ok(paid),
            None => money(&self.amount, &self.currency),
        }
    }

    pub(super) fn into_charge(self) -> Result<Charge, PaymentError> {
        let amount = self.amount()?;
        let state = match self.status.as_str() {
            "Settled" => ChargeState::Succeeded,
            "New" => ChargeState::ActionRequired { url: self.checkout_link },
            "Expired" | "Invalid" => ChargeState::Canceled,
            _ => ChargeState::Processing,
        };
        Ok(Charge { reference: self.id, amount, state })
    }
}

/// Money that goes back: a sum that its receiver draws, to an address of theirs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PullPayment {
    pub(super) id: String,
    pub(super) name: Option<String>,
    description: Option<String>,
    currency: String,
    amount: String,
    #[serde(default)]
    archived: bool,
    starts_at: Option<i64>,
}

/// A part that was drawn.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payout {
    state: String,
    original_currency: Option<String>,
    original_amount: Option<String>,
}

impl PullPayment {
    pub(super) fn key(&self) -> Option<RefundKey> {
        self.description.as_deref()?.parse().ok()
    }

    pub(super) fn created(&self) -> Result<Timestamp, PaymentError> {
        at(self.starts_at.unwrap_or_default())
    }

    /// How much of it has left.
    pub(super) fn paid_out(&self, payouts: &[Payout]) -> Result<Money, PaymentError> {
        let mut paid = money("0", &self.currency)?;
        for payout in payouts.iter().filter(|payout| payout.state == "Completed") {
            let same = payout.original_currency.as_deref() == Some(self.currency.as_str());
            if let Some(amount) = payout.original_amount.as_deref().filter(|_| same) {
                let sum = paid.checked_add(money(amount, &self.currency)?);
                paid = sum.map_err(|_| no_amount())?;
            }
        }
        Ok(paid)
    }

    pub(super) fn into_refund(self, payouts: &[Payout]) -> Result<Refund, PaymentError> {
        let amount = money(&self.amount, &self.currency)?;
        let is_under_way =
            |payout: &Payout| !["Completed", "Cancelled"].contains(&payout.state.as_str());
        let state = if self.paid_out(payouts)?.amount_minor >= amount.amount_minor {
            RefundState::Succeeded
        } else if self.archived && !payouts.iter().any(is_under_way) {
            // It can be drawn no more.
            RefundState::Failed
        } else {
            RefundState::Processing
        };
        let begun_at = self.starts_at.map(at).transpose()?;
        Ok(Refund { reference: self.id, amount, begun_at, state })
    }
}

fn money(text: &str, currency: &str) -> Result<Money, PaymentError> {
    let currency = currency.parse().map_err(|_| no_amount())?;
    // Coins are worth fractions of a cent: those are left off.
    decimal::parse(text, currency).map(|(amount, _)| amount).ok_or_else(no_amount)
}

fn no_amount() -> PaymentError {
    PaymentError::Unavailable("its answer holds no amount of money".to_owned())
}

fn at(second: i64) -> Result<Timestamp, PaymentError> {
    Timestamp::from_second(second)
        .map_err(|_| PaymentError::Unavailable("its answer holds no time".to_owned()))
}

#[cfg(test)]
mod tests;
