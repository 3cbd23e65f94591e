//! What an invoice will bill: written when a period closes or a plan changes, and turned into lines when it is
//! finalised ([`crate::invoice::compose`]). It holds facts, no amounts that could still change.

use domain::id::SubscriptionId;
use domain::period::Period;
use domain::plan::{BillingCycle, PlanName};
use serde::{Deserialize, Serialize};

use crate::proration::Fee;

/// Why there is an invoice. With its key it is there once (§2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InvoiceKind {
    /// A period began or ended. Once for each subscription and boundary.
    Period,
    /// The plan changed within a period. Once for each change.
    Adjustment,
    /// The use of a running period passed an amount. Once for each subscription, period and time.
    Threshold,
    /// Nothing paid follows. Once for each subscription and boundary, in place of `Period`.
    Final,
    /// Written by an operator.
    Manual,
}

impl InvoiceKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Period, Self::Adjustment, Self::Threshold, Self::Final, Self::Manual];

    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Period => "Period",
            Self::Adjustment => "Adjustment",
            Self::Threshold => "Threshold",
            Self::Final => "Final",
            Self::Manual => "Manual",
        }
    }
}

/// A fee that is to be billed ahead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeTerm {
    /// Of which plan.
    pub plan: PlanName,
    /// Of which version of it.
    pub version: i32,
    /// In which cycle.
    pub cycle: BillingCycle,
    /// The price of the whole period, minor units.
    pub price_minor: i64,
    /// That whole period.
    pub whole: Period,
    /// The part of it that is billed.
    pub service: Period,
}

/// A period's use that is to be billed, by the terms that were in force at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageTerm {
    /// Of which plan.
    pub plan: PlanName,
    /// Of which version of it.
    pub version: i32,
    /// In which cycle.
    pub cycle: BillingCycle,
    /// When it was used.
    pub period: Period,
}

/// An unused fee that is to be given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditTerm {
    /// The fee.
    pub fee: Fee,
    /// The time that was not used.
    pub unused: Period,
}

/// What an invoice will bill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// Why.
    pub kind: InvoiceKind,
    /// The period that the invoice names: the one that begins, or else the one that ended.
    pub period: Period,
    /// What is given back.
    pub credit: Option<CreditTerm>,
    /// What is billed ahead.
    pub fee: Option<FeeTerm>,
    /// Whose use is billed.
    pub usage: Option<UsageTerm>,
}

impl Draft {
    /// For what came late into periods that were billed, where `period`, which ended, bills nothing itself.
    #[must_use]
    pub const fn of_late_use(subscription_id: SubscriptionId, period: Period) -> Self {
        Self {
            subscription_id,
            kind: InvoiceKind::Period,
            period,
            credit: None,
            fee: None,
            usage: None,
        }
    }

    /// Whether there is nothing that could cost or be given back.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.credit.is_none() && self.fee.is_none() && self.usage.is_none()
    }
}
