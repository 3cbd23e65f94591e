//! Refresh tokens: opaque, 256 random bits, stored as a keyed hash, rotated at each use.
//!
//! A rotated token's successor is kept sealed under a key that only the token itself yields, so that a
//! client whose answer got lost is handed the same successor again, and nobody else can read it.

use domain::secret::Secret;
use ring::aead;

use crate::SymmetricKey;
use crate::base62::{WIDTH_256, encode, is_base62};

const PREFIX: &str = "rt_";
const HASH_CONTEXT: &str = "pytake 2026-11 refresh token hash";
const SEAL_CONTEXT: &str = "pytake 2026-11 refresh token successor";

/// A refresh token in the clear.
#[derive(Debug, Clone)]
pub struct RefreshToken(Secret<String>);

/// The text has not the form of a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a refresh token")]
pub struct RefreshTokenError;

/// Hashes refresh tokens for storage.
#[derive(Debug, Clone)]
pub struct RefreshTokenKey(SymmetricKey);

impl RefreshTokenKey {
    /// The key for refresh tokens, derived from the installation's token key.
    #[must_use]
    pub fn new(token_key: &SymmetricKey) -> Self {
        Self(token_key.derive(HASH_CONTEXT))
    }

    /// The hash to store and look up.
    #[must_use]
    pub fn hash(&self, token: &RefreshToken) -> [u8; 32] {
        *blake3::keyed_hash(self.0.bytes(), token.0.expose().as_bytes()).as_bytes()
    }
}

impl RefreshToken {
    /// A new token from random bits.
    #[must_use]
    pub fn generate(random: [u8; 32]) -> Self {
        Self(Secret::new(format!("{PREFIX}{}", encode(&random, WIDTH_256))))
    }

    /// Checks the form.
    ///
    /// # Errors
    /// When `text` cannot be a token.
    pub fn parse(text: &str) -> Result<Self, RefreshTokenError> {
        match text.strip_prefix(PREFIX) {
            Some(body) if body.len() == WIDTH_256 && is_base62(body) => {
                Ok(Self(Secret::new(text.to_owned())))
            }
            _ => Err(RefreshTokenError),
        }
    }

    /// The token itself, for the answer.
    #[must_use]
    pub const fn expose(&self) -> &String {
        self.0.expose()
    }

    /// `successor`, sealed so that only the holder of this token can open it.
    ///
    /// # Errors
    /// When the cipher refuses, which it does not for inputs of this size.
    pub fn seal_successor(&self, successor: &Self) -> Result<Vec<u8>, RefreshTokenError> {
        let mut sealed = successor.0.expose().clone().into_bytes();
        self.successor_key()?
            .seal_in_place_append_tag(nonce(), aead::Aad::empty(), &mut sealed)
            .map_err(|_| RefreshTokenError)?;
        Ok(sealed)
    }

    /// The successor that [`Self::seal_successor`] sealed.
    ///
    /// # Errors
    /// When `sealed` was made for another token or was changed.
    pub fn open_successor(&self, sealed: &[u8]) -> Result<Self, RefreshTokenError> {
        let mut buffer = sealed.to_vec();
        let opened = self
            .successor_key()?
            .open_in_place(nonce(), aead::Aad::empty(), &mut buffer)
            .map_err(|_| RefreshTokenError)?;
        Self::parse(std::str::from_utf8(opened).map_err(|_| RefreshTokenError)?)
    }

    fn successor_key(&self) -> Result<aead::LessSafeKey, RefreshTokenError> {
        let key = blake3::derive_key(SEAL_CONTEXT, self.0.expose().as_bytes());
        aead::UnboundKey::new(&aead::AES_256_GCM, &key)
            .map(aead::LessSafeKey::new)
            .map_err(|_| RefreshTokenError)
    }
}

/// Each token yields its own key and seals exactly one successor, so a fixed nonce is never used twice.
fn nonce() -> aead::Nonce {
    aead::Nonce::assume_unique_for_key([0; aead::NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_opens_for_its_predecessor_only() {
        let [old, new, other] = [1, 2, 3].map(|byte| RefreshToken::generate([byte; 32]));
        let sealed = old.seal_successor(&new).unwrap();
        assert_eq!(old.open_successor(&sealed).unwrap().expose(), new.expose());
        assert!(other.open_successor(&sealed).is_err());
    }

    #[test]
    fn form_is_checked() {
        let token = RefreshToken::generate([9; 32]);
        assert!(RefreshToken::parse(token.expose()).is_ok());
        for bad in ["", "rt_", "pk_x", &token.expose()[1..]] {
            assert!(RefreshToken::parse(bad).is_err());
        }
    }
}
