//! Where a tenant is in its life.

use serde::{Deserialize, Serialize};

/// Where a tenant is in its life. Stored and spoken in this spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TenantStatus {
    /// In use.
    Active,
    /// Stopped by the operator; can come back. Who does not pay is another matter ([`crate::standing::Standing`]).
    Suspended,
    /// Closed by its owner; erased after the grace period.
    Closed,
}

impl TenantStatus {
    /// Every value, for tests and documents.
    pub const ALL: [Self; 3] = [Self::Active, Self::Suspended, Self::Closed];

    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Suspended => "Suspended",
            Self::Closed => "Closed",
        }
    }
}

/// The text names no value of the enum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {0}")]
pub struct UnknownName(pub String);

impl UnknownName {
    /// The message that lists what is allowed.
    #[must_use]
    pub fn of(allowed: &[&str]) -> Self {
        Self(allowed.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
    }
}

impl std::str::FromStr for TenantStatus {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| UnknownName::of(&Self::ALL.map(Self::as_str)))
    }
}
