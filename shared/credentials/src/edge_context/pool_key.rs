//! The key of one upstream pool, all that an application behind the edge may hold.
//!
//! Derived from the installation's context key, which stays with the edge and the API: with that one, any
//! application could speak for the edge to the API; with its own pool's, to nobody but itself.

use std::fmt::Write;
use std::str::FromStr;

use domain::secret::Secret;
use ring::digest;

use crate::SymmetricKey;

/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// The key under which the edge's statements to one pool are sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolKey(Secret<[u8; KEY_BYTES]>);

/// The text is not a pool's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pool's key is 64 hexadecimal characters")]
pub struct PoolKeyError;

impl PoolKey {
    /// The key of the pool named `audience` under the installation's context key.
    #[must_use]
    pub fn derive(context_key: &SymmetricKey, audience: &str) -> Self {
        let derived = context_key.derive(&format!("pytake 2026-11 edge context {audience}"));
        Self(Secret::new(*derived.bytes()))
    }

    /// As text, for the operator to hand to the application.
    #[must_use]
    pub fn to_hex(&self) -> Secret<String> {
        let mut hex = String::with_capacity(2 * KEY_BYTES);
        for byte in self.bytes() {
            // Writing into a `String` cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        Secret::new(hex)
    }

    /// Which of several keys this is: the first byte of its SHA-256. It says where to look first, no more.
    pub(super) fn id(&self) -> u8 {
        digest::digest(&digest::SHA256, self.bytes()).as_ref().first().copied().unwrap_or_default()
    }

    pub(super) const fn bytes(&self) -> &[u8; KEY_BYTES] {
        self.0.expose()
    }
}

impl FromStr for PoolKey {
    type Err = PoolKeyError;

    fn from_str(hex: &str) -> Result<Self, PoolKeyError> {
        let digits = hex.as_bytes();
        if digits.len() != 2 * KEY_BYTES {
            return Err(PoolKeyError);
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let mut bytes = [0; KEY_BYTES];
        for (slot, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            let [high, low] = pair.map(digit);
            *slot = high.zip(low).map(|(high, low)| high << 4 | low).ok_or(PoolKeyError)?;
        }
        Ok(Self(Secret::new(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(audience: &str) -> PoolKey {
        PoolKey::derive(&SymmetricKey::new(Secret::new([5; 32])), audience)
    }

    #[test]
    fn each_pool_has_its_own_and_text_brings_it_back() {
        assert_ne!(key("api"), key("whatsapp"));
        assert_ne!(key("api").bytes(), &[5; 32]);
        let hex = key("api").to_hex();
        assert_eq!(hex.expose().parse(), Ok(key("api")));
        assert_eq!(hex.expose().to_uppercase().parse(), Ok(key("api")));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let hex = key("api").to_hex();
        let whole = hex.expose();
        for bad in ["", "0f", &whole[1..], &format!("{whole}0"), &"+f".repeat(32), &"é".repeat(32)]
        {
            assert_eq!(bad.parse::<PoolKey>(), Err(PoolKeyError), "{bad}");
        }
    }

    #[test]
    fn nothing_of_it_is_shown_by_accident() {
        assert_eq!(format!("{:?}", key("api")), "PoolKey(Secret(…))");
    }
}
