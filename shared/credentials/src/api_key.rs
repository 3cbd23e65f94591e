//! API keys: `pk_`, random bits and a checksum, by which the edge refuses a typo or a guess without a look-up.
//! Stored and looked up as a keyed hash only.

use std::fmt;
use std::hash::{Hash, Hasher};

use domain::secret::Secret;
use subtle::ConstantTimeEq;

use crate::SymmetricKey;
use crate::key_text::{self, BODY_LEN, Flaw};

/// What every key starts with.
pub const PREFIX: &str = "pk_";
/// Length of a whole key.
pub const LEN: usize = PREFIX.len() + BODY_LEN;

/// An API key in the clear: form and checksum are right, whether it exists is another question.
#[derive(Debug, Clone)]
pub struct ApiKey(Secret<String>);

/// The text cannot be an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// Wrong prefix, length or characters.
    #[error("not of the form `pk_` and 49 letters or digits")]
    Malformed,
    /// Mistyped, cut or guessed.
    #[error("the checksum does not match; was the key copied whole?")]
    Checksum,
}

/// The keyed hash under which a key is stored and looked up. Compared in constant time.
#[derive(Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct ApiKeyHash([u8; 32]);

/// The key of [`ApiKeyHash`]; kept outside the database, so that a stolen dump matches no key.
#[derive(Debug, Clone)]
pub struct Pepper(SymmetricKey);

impl Pepper {
    /// Wraps the key file's key.
    #[must_use]
    pub const fn new(key: SymmetricKey) -> Self {
        Self(key)
    }
}

impl ApiKey {
    /// A new key from random bits.
    #[must_use]
    pub fn generate(random: [u8; 32]) -> Self {
        Self(Secret::new(key_text::generate(PREFIX, random)))
    }

    /// Whether `text` claims to be an API key rather than a token.
    #[must_use]
    pub fn looks_like(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// Checks form and checksum.
    ///
    /// # Errors
    /// When `text` cannot be a key of this platform.
    pub fn parse(text: &str) -> Result<Self, ApiKeyError> {
        check(text)?;
        Ok(Self(Secret::new(text.to_owned())))
    }

    /// The hash to look the key up by.
    #[must_use]
    pub fn hash(&self, pepper: &Pepper) -> ApiKeyHash {
        keyed(self.0.expose(), pepper)
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

/// Parses and hashes without a copy of the key: what the edge does on each request.
///
/// # Errors
/// When `text` cannot be a key of this platform.
pub fn parse_and_hash(text: &str, pepper: &Pepper) -> Result<ApiKeyHash, ApiKeyError> {
    check(text)?;
    Ok(keyed(text, pepper))
}

fn check(text: &str) -> Result<(), ApiKeyError> {
    key_text::check(PREFIX, text).map_err(|flaw| match flaw {
        Flaw::Malformed => ApiKeyError::Malformed,
        Flaw::Checksum => ApiKeyError::Checksum,
    })
}

fn keyed(text: &str, pepper: &Pepper) -> ApiKeyHash {
    ApiKeyHash(*blake3::keyed_hash(pepper.0.bytes(), text.as_bytes()).as_bytes())
}

impl ApiKeyHash {
    /// A hash that a database row carried; `None` unless it is 32 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes, for the database.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for ApiKeyHash {
    fn eq(&self, other: &Self) -> bool {
        // Eight bytes at a time: byte by byte is ten times the work, as constant as it is.
        let words = |bytes: &[u8; 32]| {
            let (words, _) = bytes.as_chunks::<8>();
            [0, 1, 2, 3].map(|index| u64::from_ne_bytes(words[index]))
        };
        let (mine, others) = (words(&self.0), words(&other.0));
        let differing = mine.iter().zip(others).fold(0, |bits, (a, b)| bits | (a ^ b));
        differing.ct_eq(&0).into()
    }
}

impl Eq for ApiKeyHash {}

impl Hash for ApiKeyHash {
    /// The bytes are a keyed hash already: eight of them spread as well as all.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

impl fmt::Debug for ApiKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeyHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pepper(byte: u8) -> Pepper {
        Pepper::new(SymmetricKey::new(Secret::new([byte; 32])))
    }

    #[test]
    fn the_specifications_short_example_is_malformed() {
        assert_eq!(ApiKey::parse("pk_1234567890abcdef").unwrap_err(), ApiKeyError::Malformed);
    }

    #[test]
    fn another_pepper_is_another_hash() {
        let key = ApiKey::generate([7; 32]);
        assert_eq!(key.hash(&pepper(1)), key.hash(&pepper(1)));
        assert_ne!(key.hash(&pepper(1)), key.hash(&pepper(2)));
    }

    #[test]
    fn nothing_prints_the_key() {
        let key = ApiKey::generate([7; 32]);
        assert!(!format!("{key:?}").contains(key.last_four()));
    }

    proptest! {
        #[test]
        fn generated_keys_parse_and_any_change_is_noticed(random: [u8; 32], at in 3..LEN, to in "[0-9A-Za-z]") {
            let key = ApiKey::generate(random);
            prop_assert_eq!(key.expose().len(), LEN);
            prop_assert!(ApiKey::parse(key.expose()).is_ok());
            let mut changed = key.expose().clone();
            changed.replace_range(at..=at, &to);
            prop_assert_eq!(ApiKey::parse(&changed).is_ok(), &changed == key.expose());
        }

        #[test]
        fn any_text_is_refused_without_panic(text in "(pk_)?\\PC{0,60}") {
            prop_assert!(ApiKey::parse(&text).is_err());
        }
    }
}
