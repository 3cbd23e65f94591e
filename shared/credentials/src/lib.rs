//! What proves who is calling: formats, sealing and verification of every credential.
//! Pure: no I/O, no clock, no randomness of its own; `now` and random bytes are arguments.

pub mod access_token;
pub mod api_key;
pub mod edge_context;
pub mod mail_token;
pub mod platform_key;
pub mod refresh_token;

mod base62;
mod key_text;

use domain::secret::Secret;

/// 32 secret bytes for one purpose, from a key file.
#[derive(Debug, Clone)]
pub struct SymmetricKey(Secret<[u8; 32]>);

impl SymmetricKey {
    /// Wraps the bytes of a key file's line.
    #[must_use]
    pub const fn new(bytes: Secret<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// A key for `context` alone, so that one file can serve several purposes without any of them
    /// being able to stand in for another (BLAKE3 key derivation mode).
    #[must_use]
    pub fn derive(&self, context: &str) -> Self {
        Self(Secret::new(blake3::derive_key(context, self.0.expose())))
    }

    /// The bytes, for a cryptographic primitive.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        self.0.expose()
    }
}
