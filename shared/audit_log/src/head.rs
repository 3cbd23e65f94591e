//! A head: how many events there were at a time, and the root of their tree, signed with Ed25519 (RFC 8032).

use std::fmt::Write as _;

use domain::id::{AuditKeyId, TenantId};
use domain::secret::Secret;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::tree::Hash;

/// What a signature is of: so that no other signature of the platform's passes for one.
const STATEMENT: &str = "pytake audit head v1";
/// Bytes of a public key.
const PUBLIC_KEY_BYTES: usize = 32;

/// How far a tenant's trail had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Whose trail.
    pub tenant_id: TenantId,
    /// How many events it had.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
    /// When.
    pub at: Timestamp,
}

impl Head {
    fn statement(&self) -> String {
        let mut text = STATEMENT.to_owned();
        // Each on a line of its own; none can hold a line's end.
        let _ = write!(text, "\n{}\n{}\n{}\n{}\n", self.tenant_id, self.size, self.root, self.at);
        text
    }
}

/// A head that is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHead {
    /// What is signed.
    #[serde(flatten)]
    pub head: Head,
    /// By which key.
    pub key_id: AuditKeyId,
    /// The signature, in hexadecimal digits.
    pub signature: String,
}

/// No key, or not one of Ed25519.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 key")]
pub struct HeadKeyError;

/// Signs heads.
pub struct HeadSigner {
    id: AuditKeyId,
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for HeadSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeadSigner").field("id", &self.id).finish_non_exhaustive()
    }
}

impl HeadSigner {
    /// A new private key, in PKCS #8 form.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Secret<Vec<u8>>, HeadKeyError> {
        let document =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| HeadKeyError)?;
        Ok(Secret::new(document.as_ref().to_vec()))
    }

    /// With the private half of a key.
    ///
    /// # Errors
    /// When it is none of Ed25519.
    pub fn new(id: AuditKeyId, pkcs8: &Secret<Vec<u8>>) -> Result<Self, HeadKeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.expose()).map_err(|_| HeadKeyError)?;
        Ok(Self { id, pair })
    }

    /// The public half.
    #[must_use]
    pub fn key(&self) -> HeadKey {
        let mut public = [0; PUBLIC_KEY_BYTES];
        public.copy_from_slice(self.pair.public_key().as_ref());
        HeadKey { id: self.id, public }
    }

    /// Signs a head.
    #[must_use]
    pub fn sign(&self, head: Head) -> SignedHead {
        let signature = self.pair.sign(head.statement().as_bytes());
        SignedHead { head, key_id: self.id, signature: hex(signature.as_ref()) }
    }
}

/// The public half of a key that signs heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadKey {
    id: AuditKeyId,
    public: [u8; PUBLIC_KEY_BYTES],
}

impl HeadKey {
    /// Of stored bytes.
    ///
    /// # Errors
    /// When they are not as many as a key has.
    pub fn of(id: AuditKeyId, public: &[u8]) -> Result<Self, HeadKeyError> {
        Ok(Self { id, public: public.try_into().map_err(|_| HeadKeyError)? })
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> AuditKeyId {
        self.id
    }

    /// Its bytes.
    #[must_use]
    pub const fn public(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        &self.public
    }

    /// Whether this key signed a head.
    #[must_use]
    pub fn has_signed(&self, signed: &SignedHead) -> bool {
        let Some(signature) = unhex(&signed.signature) else { return false };
        let statement = signed.head.statement();
        signed.key_id == self.id
            && UnparsedPublicKey::new(&ED25519, self.public)
                .verify(statement.as_bytes(), &signature)
                .is_ok()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<_>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).ok()).collect()
}
