//! What a tenant has agreed to, and the fee that it paid ahead.

use domain::id::SubscriptionId;
use domain::money::Currency;
use domain::period::{Period, PeriodError, month_of};
use domain::plan::{BillingCycle, PlanName};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::charge::Charge;

/// A version of a plan, in one cycle and currency, with what it costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The plan.
    pub plan: PlanName,
    /// Its version.
    pub version: i32,
    /// How often it is billed.
    pub cycle: BillingCycle,
    /// In which currency.
    pub currency: Currency,
    /// What a period costs, paid ahead; minor units.
    pub fee_minor: i64,
    /// What is paid for use, after each period.
    pub charges: Vec<Charge>,
}

impl Offer {
    /// Whether it can ever cost something.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        self.fee_minor == 0 && self.charges.is_empty()
    }

    /// What its fee comes to in a month, rounded to the minor unit: the unit of recurring revenue.
    #[must_use]
    pub fn monthly_minor(&self) -> i64 {
        match self.cycle {
            BillingCycle::Monthly | BillingCycle::PayAsYouGo => self.fee_minor,
            // Half a cent away from zero; a fee is never negative.
            BillingCycle::Yearly => self.fee_minor.saturating_add(6) / 12,
        }
    }
}

/// Where a subscription is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SubscriptionStatus {
    /// Free of charge until the given time.
    Trialing {
        /// When the trial ends.
        ends_at: Timestamp,
    },
    /// In force.
    Active,
}

impl SubscriptionStatus {
    /// The stored and told spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trialing { .. } => "Trialing",
            Self::Active => "Active",
        }
    }

    /// When the trial ends, while there is one.
    #[must_use]
    pub const fn trial_ends_at(self) -> Option<Timestamp> {
        match self {
            Self::Trialing { ends_at } => Some(ends_at),
            Self::Active => None,
        }
    }
}

/// What happens at the running period's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheduled {
    /// Another plan or cycle.
    Change(PlanName, BillingCycle),
    /// It ends; the free plan follows.
    Cancel,
}

impl Scheduled {
    /// Which plan and cycle will follow.
    #[must_use]
    pub const fn target(self) -> (PlanName, BillingCycle) {
        match self {
            Self::Change(plan, cycle) => (plan, cycle),
            Self::Cancel => (PlanName::Free, BillingCycle::Monthly),
        }
    }
}

/// A tenant's running subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// The plan.
    pub plan: PlanName,
    /// The version of the plan that it keeps.
    pub plan_version: i32,
    /// How often it is billed.
    pub cycle: BillingCycle,
    /// In which currency, for life.
    pub currency: Currency,
    /// Trial or not.
    pub status: SubscriptionStatus,
    /// When it began.
    pub started_at: Timestamp,
    /// From what its periods are computed: boundary k is the anchor and k cycles (§2.1).
    pub anchor: Timestamp,
    /// Which of them the running period is, from 0.
    pub period_index: u32,
    /// The running period. In a trial, the trial.
    pub period: Period,
    /// What happens at its end.
    pub scheduled: Option<Scheduled>,
}

impl Subscription {
    /// The plan and cycle that it has, or will have after what is scheduled.
    #[must_use]
    pub fn target(&self) -> (PlanName, BillingCycle) {
        self.scheduled.map_or((self.plan, self.cycle), Scheduled::target)
    }

    /// Whether it is in its trial.
    #[must_use]
    pub const fn is_trialing(&self) -> bool {
        matches!(self.status, SubscriptionStatus::Trialing { .. })
    }

    /// The same, on `offer` from a new anchor at `at`: its first period begins there.
    ///
    /// # Errors
    /// When the period leaves the range of time.
    pub(crate) fn anchored(
        &self,
        offer: &Offer,
        at: Timestamp,
        zone: &TimeZone,
    ) -> Result<Self, PeriodError> {
        let anchor = match offer.cycle {
            BillingCycle::PayAsYouGo => month_of(at, zone)?,
            BillingCycle::Monthly | BillingCycle::Yearly => at,
        };
        let end = Period::first(anchor, offer.cycle, zone)?.end;
        Ok(Self {
            plan: offer.plan,
            plan_version: offer.version,
            cycle: offer.cycle,
            status: SubscriptionStatus::Active,
            anchor,
            period_index: 0,
            period: Period { start: at, end },
            scheduled: None,
            ..self.clone()
        })
    }

    /// The same, one period on. It begins where the last one ended, whatever became of the time zone.
    ///
    /// # Errors
    /// When the period leaves the range of time.
    pub(crate) fn renewed(&self, zone: &TimeZone) -> Result<Self, PeriodError> {
        let index = self.period_index.checked_add(1).ok_or(PeriodError)?;
        let end = Period::nth(self.anchor, self.cycle, zone, index)?.end;
        let start = self.period.end;
        if end <= start {
            return Err(PeriodError);
        }
        Ok(Self { period_index: index, period: Period { start, end }, ..self.clone() })
    }
}
