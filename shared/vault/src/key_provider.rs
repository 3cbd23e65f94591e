//! Who holds the key-encryption key. One implementation for one machine; a key management service would be
//! another.

use domain::secret::Secret;

use crate::aead::{self, Entropy, KEY_BYTES};
use crate::{Owner, Purpose, VaultError};

/// Wraps and unwraps data keys. `context` is authenticated with the key, so that a wrapped key cannot be
/// passed off as another owner's.
pub trait KeyProvider: Send + Sync {
    /// Wraps a data key under the current key-encryption key.
    ///
    /// # Errors
    /// When the provider fails.
    fn wrap(
        &self,
        data_key: &Secret<[u8; KEY_BYTES]>,
        context: &[u8],
    ) -> Result<Vec<u8>, VaultError>;

    /// Unwraps a data key, whichever key-encryption key wrapped it.
    ///
    /// # Errors
    /// When no key that the provider still has opens it.
    fn unwrap(&self, wrapped: &[u8], context: &[u8])
    -> Result<Secret<[u8; KEY_BYTES]>, VaultError>;
}

/// Key-encryption keys from a file: the last one wraps, all of them unwrap.
#[derive(Debug)]
pub struct FileKeyProvider {
    keys: Vec<Secret<[u8; KEY_BYTES]>>,
    entropy: Entropy,
}

impl FileKeyProvider {
    /// A provider with the keys of a key file, oldest first.
    #[must_use]
    pub fn new(keys: Vec<Secret<[u8; KEY_BYTES]>>) -> Self {
        Self { keys, entropy: Entropy::default() }
    }
}

impl KeyProvider for FileKeyProvider {
    fn wrap(
        &self,
        data_key: &Secret<[u8; KEY_BYTES]>,
        context: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        let current = self.keys.last().ok_or(VaultError::KeyEncryptionKeyMissing)?;
        aead::seal(current, context, data_key.expose(), &self.entropy)
    }

    fn unwrap(
        &self,
        wrapped: &[u8],
        context: &[u8],
    ) -> Result<Secret<[u8; KEY_BYTES]>, VaultError> {
        self.keys
            .iter()
            .rev()
            .find_map(|key| aead::open(key, context, wrapped).ok())
            .and_then(|plain| plain.expose().as_slice().try_into().ok().map(Secret::new))
            .ok_or(VaultError::KeyEncryptionKeyMissing)
    }
}

/// What a wrapped data key is bound to.
pub(crate) fn wrapping_context(owner: Owner, purpose: Purpose, version: u32) -> Vec<u8> {
    let mut context = b"pytake data key|".to_vec();
    context.extend_from_slice(&owner_bytes(owner));
    context.extend_from_slice(purpose.as_str().as_bytes());
    context.push(b'|');
    context.extend_from_slice(&version.to_be_bytes());
    context
}

/// An owner in a fixed form: a tag, and the id of a tenant.
pub(crate) fn owner_bytes(owner: Owner) -> [u8; 17] {
    let mut bytes = [0; 17];
    if let Owner::Tenant(id) = owner {
        bytes[0] = 1;
        bytes[1..].copy_from_slice(id.as_uuid().as_bytes());
    }
    bytes
}
