//! Whether a subscription is paid for, and what its tenant may still do if it is not.

use serde::{Deserialize, Serialize};

use crate::plan::spelled_enum;

spelled_enum! {
    /// Whether what a subscription owes is paid. It gets worse step by step while nobody pays, and good at once when
    /// somebody does.
    Standing {
        /// Nothing is overdue.
        Good,
        /// A charge failed, and is tried again; meanwhile nothing is withheld.
        PastDue,
        /// Trying is over: the tenant may look, and may pay.
        ReadOnly,
        /// The tenant may pay, and nothing else.
        BillingOnly,
    }
}

impl Standing {
    /// What the tenant may do.
    #[must_use]
    pub const fn access(self) -> Access {
        match self {
            Self::Good | Self::PastDue => Access::Full,
            Self::ReadOnly => Access::ReadOnly,
            Self::BillingOnly => Access::BillingOnly,
        }
    }
}

/// What a tenant may do, as far as that depends on its paying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Access {
    /// Everything.
    Full,
    /// Look at everything, and pay.
    ReadOnly,
    /// Pay.
    BillingOnly,
}

impl Access {
    /// As the API tells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ReadOnly => "read_only",
            Self::BillingOnly => "billing_only",
        }
    }
}
