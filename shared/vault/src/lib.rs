//! Envelope encryption: data keys seal columns, a key-encryption key wraps data keys.
//!
//! A ciphertext is bound to its place (owner, table, column, row): moved elsewhere, it does not open.
//! Destroying the wrapped data keys of an owner destroys all they sealed. No storage here: `store::data_keys`
//! keeps the wrapped keys.

mod aead;
mod data_key;
mod key_provider;

use domain::id::TenantId;

pub use aead::Entropy;
pub use data_key::{DataKey, DataKeys};
pub use key_provider::{FileKeyProvider, KeyProvider};

/// Whose data a key seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A tenant's.
    Tenant(TenantId),
    /// The platform's own.
    Platform,
}

/// What kind of data a key seals; each owner has a key for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// References to ways of paying.
    PaymentMethods,
    /// Keys that sign access tokens.
    SigningKeys,
    /// Keys that sign heads of audit trails.
    AuditKeys,
    /// Webhooks: what signs them, their payloads, the answers to them.
    Webhooks,
}

impl Purpose {
    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PaymentMethods => "payment_methods",
            Self::SigningKeys => "signing_keys",
            Self::AuditKeys => "audit_keys",
            Self::Webhooks => "webhooks",
        }
    }
}

/// A sealed column. A constant beside the table's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Column {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
}

/// The place of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// Whose row it is.
    pub owner: Owner,
    /// The column.
    pub column: Column,
    /// The row's id.
    pub row: uuid::Uuid,
}

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The system gave no randomness.
    #[error("the system's randomness failed")]
    Randomness,
    /// Changed, moved to another place, or sealed under another key.
    #[error("the sealed value does not open here")]
    Refused,
    /// The key version was destroyed, or is not loaded.
    #[error("the data key of version {0} is not there")]
    KeyMissing(u32),
    /// No key-encryption key that was given opens the data key.
    #[error("no key-encryption key opens the data key; is the right kek_file in the settings?")]
    KeyEncryptionKeyMissing,
}
