//! Plans: their names, their limits, the billing cycle. Prices and figures are data (`config/plans.toml`).

use std::num::{NonZeroU16, NonZeroU32};

use serde::{Deserialize, Serialize};

macro_rules! spelled_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        #[serde(try_from = "String", into = "String")]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Every value, in the catalogue's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The spelling on the wire and in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::tenant::UnknownName;

            fn from_str(text: &str) -> Result<Self, crate::tenant::UnknownName> {
                match text {
                    $(stringify!($variant) => Ok(Self::$variant),)*
                    _ => Err(crate::tenant::UnknownName::of(&[$(stringify!($variant),)*])),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = crate::tenant::UnknownName;

            fn try_from(text: String) -> Result<Self, crate::tenant::UnknownName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.as_str().to_owned()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use spelled_enum;

spelled_enum! {
    /// The plans of the specification, cheapest first.
    PlanName {
        /// Stops at its limits.
        Free,
        /// For a small team.
        Starter,
        /// For a growing one.
        Pro,
        /// For a large one.
        Enterprise,
    }
}

spelled_enum! {
    /// How often a subscription is billed.
    BillingCycle {
        /// Each month.
        Monthly,
        /// Each year, with the catalogue's discount.
        Yearly,
        /// No base fee; units at the period's end.
        PayAsYouGo,
    }
}

impl BillingCycle {
    /// What is paid for at a time.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Monthly | Self::PayAsYouGo => "month",
            Self::Yearly => "year",
        }
    }

    /// Months of a period.
    #[must_use]
    pub const fn months(self) -> u8 {
        match self {
            Self::Monthly | Self::PayAsYouGo => 1,
            Self::Yearly => 12,
        }
    }
}

/// A count that a plan allows, or no bound. `null` on the wire means unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Allowance(Option<u64>);

impl Allowance {
    /// No bound.
    pub const UNLIMITED: Self = Self(None);

    /// At most `count`.
    #[must_use]
    pub const fn at_most(count: u64) -> Self {
        Self(Some(count))
    }

    /// The bound, `None` when unlimited.
    #[must_use]
    pub const fn bound(self) -> Option<u64> {
        self.0
    }

    /// The allowance of so many times as long.
    #[must_use]
    pub fn times(self, factor: u8) -> Self {
        Self(self.0.map(|count| count.saturating_mul(u64::from(factor))))
    }

    /// Whether one more than `used` is still within the plan.
    #[must_use]
    pub fn allows_one_more(self, used: u64) -> bool {
        self.0.is_none_or(|bound| used < bound)
    }
}

/// What a plan allows. Field names are those of the API and of `config/plans.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanLimits {
    /// Messages a month.
    pub messages_per_month: Allowance,
    /// Contacts kept.
    pub contacts: Allowance,
    /// Seats: members, invited ones included.
    pub users: Allowance,
    /// API calls a minute: burst and rate (`EDGE.md`, "Meaning of N/minute").
    pub api_calls_per_minute: NonZeroU32,
    /// API calls in progress at the same time; `None` is unlimited. Not an [`Allowance`]: a plan of none would
    /// be no plan.
    pub concurrent_requests: Option<NonZeroU32>,
    /// Outgoing webhook endpoints.
    pub webhook_endpoints: Allowance,
    /// Days for which messages to them are kept.
    pub webhook_retention_days: NonZeroU16,
    /// Storage, in megabytes of 10^6 bytes.
    pub storage_mb: Allowance,
    /// Automations.
    pub automations: Allowance,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_is_the_specifications() {
        assert_eq!("Enterprise".parse(), Ok(PlanName::Enterprise));
        assert_eq!("Yearly".parse(), Ok(BillingCycle::Yearly));
        assert_eq!(
            "enterprise".parse::<PlanName>().unwrap_err().to_string(),
            "must be one of `Free`, `Starter`, `Pro`, `Enterprise`"
        );
    }

    #[test]
    fn unlimited_is_null() {
        assert_eq!(serde_json::to_string(&Allowance::UNLIMITED).unwrap(), "null");
        assert!(Allowance::UNLIMITED.allows_one_more(u64::MAX));
        assert!(!Allowance::at_most(2).allows_one_more(2));
    }
}
