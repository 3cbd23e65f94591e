//! Keys that belong to no tenant: `svc_…` of the applications behind the edge, `op_…` of operators; the rest is as API
//! keys have it. Stored and looked up as a keyed hash only.

use domain::credential::PlatformCredentialKind;
use domain::secret::Secret;

use crate::SymmetricKey;
use crate::key_text;

/// So that the hash of such a key is never that of an API key.
const HASH_CONTEXT: &str = "pytake 2026-11 service key";

/// A key in the clear: form and checksum are right, whether it exists is another question.
#[derive(Debug, Clone)]
pub struct PlatformKey(Secret<String>);

/// The text cannot be a key of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a key: `{prefix}` and 49 letters or digits, copied whole")]
pub struct PlatformKeyError {
    prefix: &'static str,
}

/// What the keys are hashed with; kept outside the database, so that a stolen dump matches no key.
#[derive(Debug, Clone)]
pub struct PlatformPepper(SymmetricKey);

/// What every key of a kind starts with.
#[must_use]
pub const fn prefix(kind: PlatformCredentialKind) -> &'static str {
    match kind {
        PlatformCredentialKind::Service => "svc_",
        PlatformCredentialKind::Operator => "op_",
    }
}

impl PlatformPepper {
    /// Derived from the key of API key hashes.
    #[must_use]
    pub fn of(key: &SymmetricKey) -> Self {
        Self(key.derive(HASH_CONTEXT))
    }
}

impl PlatformKey {
    /// A new key from random bits.
    #[must_use]
    pub fn generate(kind: PlatformCredentialKind, random: [u8; 32]) -> Self {
        Self(Secret::new(key_text::generate(prefix(kind), random)))
    }

    /// Checks form and checksum.
    ///
    /// # Errors
    /// When `text` cannot be a key of this platform.
    pub fn parse(kind: PlatformCredentialKind, text: &str) -> Result<Self, PlatformKeyError> {
        let prefix = prefix(kind);
        key_text::check(prefix, text).map_err(|_| PlatformKeyError { prefix })?;
        Ok(Self(Secret::new(text.to_owned())))
    }

    /// The hash to look the key up by.
    #[must_use]
    pub fn hash(&self, pepper: &PlatformPepper) -> [u8; 32] {
        *blake3::keyed_hash(pepper.0.bytes(), self.0.expose().as_bytes()).as_bytes()
    }

    /// The last four characters, for people to tell keys apart.
    #[must_use]
    pub fn last_four(&self) -> &str {
        key_text::last_four(self.0.expose())
    }

    /// The key itself, to be shown once at creation.
    #[must_use]
    pub const fn expose(&self) -> &String {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_key::ApiKey;
    use proptest::prelude::*;

    const SERVICE: PlatformCredentialKind = PlatformCredentialKind::Service;
    const OPERATOR: PlatformCredentialKind = PlatformCredentialKind::Operator;

    proptest! {
        #[test]
        fn generated_keys_parse_as_their_own_kind_alone(random: [u8; 32]) {
            let key = PlatformKey::generate(SERVICE, random);
            prop_assert!(PlatformKey::parse(SERVICE, key.expose()).is_ok());
            prop_assert!(PlatformKey::parse(OPERATOR, key.expose()).is_err());
            prop_assert!(ApiKey::parse(key.expose()).is_err());
            prop_assert!(PlatformKey::parse(SERVICE, ApiKey::generate(random).expose()).is_err());
            let shown = format!("{:?}", key);
            prop_assert!(!shown.contains(key.last_four()));
        }

        #[test]
        fn any_text_is_refused_without_panic(text in "((svc|op)_)?\\PC{0,60}") {
            prop_assert!(PlatformKey::parse(SERVICE, &text).is_err());
            prop_assert!(PlatformKey::parse(OPERATOR, &text).is_err());
        }
    }
}
