//! AES-256-GCM with a random 96-bit nonce, and where randomness comes from.

use domain::secret::Secret;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::VaultError;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;

/// The system's randomness, drawn from in this crate only.
#[derive(Debug, Clone)]
pub struct Entropy(SystemRandom);

impl Default for Entropy {
    fn default() -> Self {
        Self(SystemRandom::new())
    }
}

impl Entropy {
    pub(crate) fn draw<const N: usize>(&self) -> Result<[u8; N], VaultError> {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes).map_err(|_| VaultError::Randomness)?;
        Ok(bytes)
    }
}

/// `nonce | ciphertext | tag` of `plain`, bound to `context`. A key must be replaced before 2^32 calls
/// (NIST SP 800-38D, 8.3); a data key seals rows of one owner, far fewer.
pub(crate) fn seal(
    key: &Secret<[u8; KEY_BYTES]>,
    context: &[u8],
    plain: &[u8],
    entropy: &Entropy,
) -> Result<Vec<u8>, VaultError> {
    let nonce = entropy.draw::<NONCE_LEN>()?;
    let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let tag = cipher(key)?
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context),
            sealed.get_mut(NONCE_LEN..).ok_or(VaultError::Refused)?,
        )
        .map_err(|_| VaultError::Refused)?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

/// What [`seal`] sealed under the same key and context.
pub(crate) fn open(
    key: &Secret<[u8; KEY_BYTES]>,
    context: &[u8],
    sealed: &[u8],
) -> Result<Secret<Vec<u8>>, VaultError> {
    let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(VaultError::Refused)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::Refused)?;
    let mut body = body.to_vec();
    let length = cipher(key)?
        .open_in_place(nonce, Aad::from(context), &mut body)
        .map_err(|_| VaultError::Refused)?
        .len();
    body.truncate(length);
    Ok(Secret::new(body))
}

fn cipher(key: &Secret<[u8; KEY_BYTES]>) -> Result<LessSafeKey, VaultError> {
    UnboundKey::new(&AES_256_GCM, key.expose())
        .map(LessSafeKey::new)
        .map_err(|_| VaultError::Refused)
}
