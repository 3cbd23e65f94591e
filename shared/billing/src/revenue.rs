//! Monthly recurring revenue, by its movements: what they add up to is the change of it (design: BILLING, 15).

mod report;

use serde::{Deserialize, Serialize};

pub use report::{Figures, Kept, Moves, Revenue, Standing, Trials, basis_points};

/// Why recurring revenue moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MovementKind {
    /// A customer that paid nothing pays.
    New,
    /// A customer that had left pays again.
    Reactivation,
    /// More than before.
    Expansion,
    /// Less than before.
    Contraction,
    /// Nothing any more.
    Churn,
}

impl MovementKind {
    /// Every kind, what adds before what takes.
    pub const ALL: [Self; 5] =
        [Self::New, Self::Reactivation, Self::Expansion, Self::Contraction, Self::Churn];

    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::Reactivation => "Reactivation",
            Self::Expansion => "Expansion",
            Self::Contraction => "Contraction",
            Self::Churn => "Churn",
        }
    }
}

/// A change of what a subscription brings in a month; without discounts, tax and use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// Before, minor units.
    pub from_minor: i64,
    /// After.
    pub to_minor: i64,
}

impl Movement {
    /// From one monthly amount to another; `None` where nothing moved.
    #[must_use]
    pub fn between(from_minor: i64, to_minor: i64) -> Option<Self> {
        (from_minor != to_minor).then_some(Self { from_minor, to_minor })
    }

    /// What it adds.
    #[must_use]
    pub const fn delta_minor(self) -> i64 {
        self.to_minor - self.from_minor
    }

    /// What it is called; `returning`: whether the customer had ever paid before.
    #[must_use]
    pub const fn kind(self, returning: bool) -> MovementKind {
        if self.from_minor == 0 {
            if returning { MovementKind::Reactivation } else { MovementKind::New }
        } else if self.to_minor == 0 {
            MovementKind::Churn
        } else if self.to_minor > self.from_minor {
            MovementKind::Expansion
        } else {
            MovementKind::Contraction
        }
    }
}
