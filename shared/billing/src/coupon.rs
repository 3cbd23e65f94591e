//! Coupons: what is taken off before tax.

use domain::money::Currency;
use serde::{Deserialize, Serialize};

use crate::draft::InvoiceKind;
use crate::rounding::{OutOfRange, part};

/// Per cent, in hundredths: 2,500 is a quarter. At most all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Percent(u16);

/// More than all, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be from 1 to 10000 hundredths of a per cent")]
pub struct PercentError;

impl Percent {
    const WHOLE: u16 = 10_000;

    /// Hundredths of a per cent.
    #[must_use]
    pub const fn hundredths(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Percent {
    type Error = PercentError;

    fn try_from(hundredths: u16) -> Result<Self, PercentError> {
        if (1..=Self::WHOLE).contains(&hundredths) {
            Ok(Self(hundredths))
        } else {
            Err(PercentError)
        }
    }
}

impl From<Percent> for u16 {
    fn from(percent: Percent) -> Self {
        percent.0
    }
}

/// `20 %`, `12.5 %`.
impl std::fmt::Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        match (rest, rest % 10) {
            (0, _) => write!(f, "{whole} %"),
            (_, 0) => write!(f, "{whole}.{} %", rest / 10),
            _ => write!(f, "{whole}.{rest:02} %"),
        }
    }
}

/// How much a coupon takes off an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Discount {
    /// A part of it.
    Percent(Percent),
    /// So much, as far as there is so much to pay; only on invoices of its currency.
    Amount {
        /// Minor units, positive.
        amount_minor: i64,
        /// Of this currency.
        currency: Currency,
    },
}

/// For how long a coupon holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duration {
    /// For one invoice.
    Once,
    /// For so many periods, and the changes within them.
    Periods(u16),
    /// For good.
    Forever,
}

impl Duration {
    /// How many invoices of periods it holds for; `None`: for good.
    #[must_use]
    pub const fn uses(self) -> Option<u16> {
        match self {
            Self::Once => Some(1),
            Self::Periods(count) => Some(count),
            Self::Forever => None,
        }
    }

    /// Whether an invoice of `kind` uses one of its times up.
    #[must_use]
    pub const fn is_used_up_by(self, kind: InvoiceKind) -> bool {
        match self {
            Self::Once => true,
            Self::Periods(_) => matches!(kind, InvoiceKind::Period | InvoiceKind::Final),
            Self::Forever => false,
        }
    }
}

/// A coupon that a tenant has, and that is not used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coupon {
    /// Its code.
    pub code: String,
    /// How much.
    pub discount: Discount,
    /// For how long.
    pub duration: Duration,
}

impl Coupon {
    /// What it takes off an amount, at most all of it.
    ///
    /// # Errors
    /// When the amount is out of range.
    pub fn off(&self, amount_minor: i64, of: Currency) -> Result<i64, OutOfRange> {
        match self.discount {
            Discount::Percent(percent) => {
                part(amount_minor, i64::from(percent.hundredths()), i64::from(Percent::WHOLE))
            }
            Discount::Amount { amount_minor: off, currency } if currency == of => {
                Ok(off.min(amount_minor))
            }
            Discount::Amount { .. } => Ok(0),
        }
    }
}
