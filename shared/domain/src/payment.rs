//! How money is collected: by whom, by which way to pay, and what came of an attempt. Words of providers' clients, of
//! the store and of workers alike.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::id::{InvoiceId, RefundId, TenantId};
use crate::money::Money;
use crate::plan::spelled_enum;

spelled_enum! {
    /// Who moves money.
    ProviderName {
        /// The local one, which takes any card and moves no money.
        Sandbox,
        /// Cards.
        Stripe,
        /// PayPal accounts.
        PayPal,
        /// The customer's bank, told of by statements.
        BankTransfer,
        /// Crypto currencies, by BTCPay Server.
        BtcPay,
    }
}

impl ProviderName {
    /// Whether it takes money by itself once a way to pay is on file; else the customer has to act for each invoice, and
    /// is chased from the day on which it is due.
    #[must_use]
    pub const fn pulls(self) -> bool {
        matches!(self, Self::Sandbox | Self::Stripe | Self::PayPal)
    }

    /// The last segment of the path at which it calls us: `/hooks/{slug}`.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Stripe => "stripe",
            Self::PayPal => "paypal",
            Self::BankTransfer => "bank-transfer",
            Self::BtcPay => "btcpay",
        }
    }

    /// The provider of a [`slug`](Self::slug).
    #[must_use]
    pub fn of_slug(slug: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|name| name.slug() == slug)
    }
}

/// Which attempt to collect which invoice. Each has one charge at its provider, however often it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChargeKey {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// From 1.
    pub attempt: u32,
}

impl ChargeKey {
    /// What a provider tells one charge from another by: `inv_…:a1`.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        format!("{}:a{}", self.invoice_id, self.attempt)
    }
}

/// As it is kept with the provider: `tenant_…/inv_…/1`.
impl fmt::Display for ChargeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.tenant_id, self.invoice_id, self.attempt)
    }
}

/// The text is not of one of our charges or refunds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a key of ours")]
pub struct PaymentKeyError;

impl FromStr for ChargeKey {
    type Err = PaymentKeyError;

    fn from_str(text: &str) -> Result<Self, PaymentKeyError> {
        let mut parts = text.split('/');
        let (Some(tenant), Some(invoice), Some(attempt), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(PaymentKeyError);
        };
        Ok(Self {
            tenant_id: tenant.parse().map_err(|_| PaymentKeyError)?,
            invoice_id: invoice.parse().map_err(|_| PaymentKeyError)?,
            attempt: attempt.parse().ok().filter(|attempt| *attempt > 0).ok_or(PaymentKeyError)?,
        })
    }
}

/// Which refund of which tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RefundKey {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The refund.
    pub refund_id: RefundId,
}

/// As it is kept with the provider: `tenant_…/refund_…`.
impl fmt::Display for RefundKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant_id, self.refund_id)
    }
}

impl FromStr for RefundKey {
    type Err = PaymentKeyError;

    fn from_str(text: &str) -> Result<Self, PaymentKeyError> {
        let (tenant, refund) = text.split_once('/').ok_or(PaymentKeyError)?;
        Ok(Self {
            tenant_id: tenant.parse().map_err(|_| PaymentKeyError)?,
            refund_id: refund.parse().map_err(|_| PaymentKeyError)?,
        })
    }
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decline {
    /// Whether to ask again is of no use: the way to pay is lost, closed or revoked.
    pub hard: bool,
    /// The provider's word for it, such as `insufficient_funds`.
    pub code: String,
}

/// What has become of an attempt to collect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChargeState {
    /// On its way, for days where banks are asked. Neither repeated nor chased.
    Processing,
    /// The customer has to confirm it, at this address where there is one.
    ActionRequired {
        /// Where.
        url: Option<String>,
    },
    /// The money is there.
    Succeeded,
    /// It was refused.
    Declined(Decline),
    /// It was withdrawn, or ran out, before there was money.
    Canceled,
}

/// An attempt as its provider tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The provider's id of it.
    pub reference: String,
    /// How much: what came in, where it [succeeded](ChargeState::Succeeded).
    pub amount: Money,
    /// What has become of it.
    pub state: ChargeState,
}

spelled_enum! {
    /// What has become of a refund.
    RefundState {
        /// On its way.
        Processing,
        /// The money is with the customer.
        Succeeded,
        /// It came back: what it took from the balance is there again.
        Failed,
    }
}

/// A refund as its provider tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// The provider's id of it.
    pub reference: String,
    /// How much.
    pub amount: Money,
    /// When the provider began it, where it says so; it may have been asked for days before.
    pub begun_at: Option<Timestamp>,
    /// What has become of it.
    pub state: RefundState,
}

spelled_enum! {
    /// What has become of a dispute.
    DisputeState {
        /// The provider holds the money back until it is decided.
        Open,
        /// It was decided for us: the money is there again.
        Won,
        /// It was decided against us: the money is lost.
        Lost,
    }
}

/// A dispute as its provider tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// The provider's id of it.
    pub reference: String,
    /// The charge that is disputed, by the provider's id of it.
    pub charge_reference: String,
    /// How much is held back.
    pub amount: Money,
    /// Why, in the provider's word.
    pub reason: String,
    /// When the provider opened it; it may be heard of days later.
    pub opened_at: Timestamp,
    /// What has become of it.
    pub state: DisputeState,
}

/// What may be shown of a way to pay.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodLabel {
    /// `visa`, `mastercard`, …; of a card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// The last four digits; of a card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_four: Option<String>,
    /// The last day on which it is good; of a card, its month's last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_on: Option<Date>,
    /// Whose account it is; of `PayPal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    #[test]
    fn a_slug_names_its_provider() {
        for name in ProviderName::ALL {
            assert_eq!(ProviderName::of_slug(name.slug()), Some(*name));
        }
        assert_eq!(ProviderName::of_slug("Stripe"), None);
    }

    proptest! {
        #[test]
        fn keys_round_trip(tenant: u128, thing: u128, attempt in 1_u32..) {
            let tenant_id = TenantId::from_uuid(Uuid::from_u128(tenant));
            let invoice_id = InvoiceId::from_uuid(Uuid::from_u128(thing));
            let charge = ChargeKey { tenant_id, invoice_id, attempt };
            prop_assert_eq!(charge.to_string().parse(), Ok(charge));
            let refund_id = RefundId::from_uuid(Uuid::from_u128(thing));
            let refund = RefundKey { tenant_id, refund_id };
            prop_assert_eq!(refund.to_string().parse(), Ok(refund));
            prop_assert!(charge.to_string().parse::<RefundKey>().is_err());
        }

        #[test]
        fn any_text_is_parsed_without_panic(text in ".{0,100}") {
            prop_assert!(text.parse::<ChargeKey>().is_err() && text.parse::<RefundKey>().is_err());
        }
    }
}
