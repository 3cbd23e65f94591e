//! Service keys: `svc_` and the rest as API keys have it. An operator issues them to the applications behind the
//! edge; they belong to no tenant. Stored and looked up as a keyed hash only.

use domain::secret::Secret;

use crate::SymmetricKey;
use crate::key_text;

/// What every key starts with.
pub const PREFIX: &str = "svc_";
/// So that the hash of a service key is never that of an API key.
const HASH_CONTEXT: &str = "pytake 2026-11 service key";

/// A service key in the clear: form and checksum are right, whether it exists is another question.
#[derive(Debug, Clone)]
pub struct ServiceKey(Secret<String>);

/// The text cannot be a service key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a service key: `{PREFIX}` and 49 letters or digits, copied whole")]
pub struct ServiceKeyError;

/// What service keys are hashed with; kept outside the database, so that a stolen dump matches no key.
#[derive(Debug, Clone)]
pub struct ServicePepper(SymmetricKey);

impl ServicePepper {
    /// Derived from the key of API key hashes.
    #[must_use]
    pub fn of(key: &SymmetricKey) -> Self {
        Self(key.derive(HASH_CONTEXT))
    }
}

impl ServiceKey {
    /// A new key from random bits.
    #[must_use]
    pub fn generate(random: [u8; 32]) -> Self {
        Self(Secret::new(key_text::generate(PREFIX, random)))
    }

    /// Checks form and checksum.
    ///
    /// # Errors
    /// When `text` cannot be a key of this platform.
    pub fn parse(text: &str) -> Result<Self, ServiceKeyError> {
        key_text::check(PREFIX, text).map_err(|_| ServiceKeyError)?;
        Ok(Self(Secret::new(text.to_owned())))
    }

    /// The hash to look the key up by.
    #[must_use]
    pub fn hash(&self, pepper: &ServicePepper) -> [u8; 32] {
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

    proptest! {
        #[test]
        fn generated_keys_parse_and_are_no_api_keys(random: [u8; 32]) {
            let key = ServiceKey::generate(random);
            prop_assert!(ServiceKey::parse(key.expose()).is_ok());
            prop_assert!(ApiKey::parse(key.expose()).is_err());
            prop_assert!(ServiceKey::parse(ApiKey::generate(random).expose()).is_err());
            let shown = format!("{:?}", key);
            prop_assert!(!shown.contains(key.last_four()));
        }

        #[test]
        fn any_text_is_refused_without_panic(text in "(svc_)?\\PC{0,60}") {
            prop_assert!(ServiceKey::parse(&text).is_err());
        }
    }
}
