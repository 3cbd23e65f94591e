//! Data keys: made once for an owner and purpose, several versions at a time, the newest seals.

use domain::secret::Secret;

use crate::aead::{self, Entropy, KEY_BYTES};
use crate::key_provider::{KeyProvider, owner_bytes, wrapping_context};
use crate::{Owner, Place, Purpose, VaultError};

/// First byte of a sealed value: the form of what follows.
const FORM: u8 = 1;
/// Form and key version before the sealed bytes.
const HEADER_BYTES: usize = 5;

/// One version of an owner's data key, unwrapped.
#[derive(Debug, Clone)]
pub struct DataKey {
    version: u32,
    key: Secret<[u8; KEY_BYTES]>,
}

/// Every version of an owner's data key for one purpose.
#[derive(Debug, Clone)]
pub struct DataKeys {
    owner: Owner,
    keys: Vec<DataKey>,
}

impl DataKey {
    /// A new key of `version`, and its wrapped form to store.
    ///
    /// # Errors
    /// When randomness or the provider fails.
    pub fn generate(
        provider: &dyn KeyProvider,
        owner: Owner,
        purpose: Purpose,
        version: u32,
        entropy: &Entropy,
    ) -> Result<(Self, Vec<u8>), VaultError> {
        let key = Secret::new(entropy.draw::<KEY_BYTES>()?);
        let wrapped = provider.wrap(&key, &wrapping_context(owner, purpose, version))?;
        Ok((Self { version, key }, wrapped))
    }

    /// The key in its stored, wrapped form.
    ///
    /// # Errors
    /// When no key-encryption key opens it for this owner, purpose and version.
    pub fn unwrap(
        provider: &dyn KeyProvider,
        owner: Owner,
        purpose: Purpose,
        version: u32,
        wrapped: &[u8],
    ) -> Result<Self, VaultError> {
        let key = provider.unwrap(wrapped, &wrapping_context(owner, purpose, version))?;
        Ok(Self { version, key })
    }
}

impl DataKeys {
    /// The keys of `owner`, in any order.
    #[must_use]
    pub const fn new(owner: Owner, keys: Vec<DataKey>) -> Self {
        Self { owner, keys }
    }

    /// Whether the owner has no key for the purpose yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Seals `plain` for `row` of a column: `form | key version | nonce | ciphertext | tag`.
    ///
    /// # Errors
    /// When the place is another owner's, or there is no key, or randomness fails.
    pub fn seal(
        &self,
        place: Place,
        plain: &[u8],
        entropy: &Entropy,
    ) -> Result<Vec<u8>, VaultError> {
        self.check_owner(place)?;
        let newest =
            self.keys.iter().max_by_key(|key| key.version).ok_or(VaultError::KeyMissing(0))?;
        let body =
            aead::seal(&newest.key, &associated_data(place, newest.version), plain, entropy)?;
        let mut sealed = Vec::with_capacity(HEADER_BYTES + body.len());
        sealed.push(FORM);
        sealed.extend_from_slice(&newest.version.to_be_bytes());
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// What [`Self::seal`] sealed for the same place.
    ///
    /// # Errors
    /// When the value was changed or moved, or its key is not there.
    pub fn open(&self, place: Place, sealed: &[u8]) -> Result<Secret<Vec<u8>>, VaultError> {
        self.check_owner(place)?;
        let (header, body) = sealed.split_at_checked(HEADER_BYTES).ok_or(VaultError::Refused)?;
        let [form, version @ ..] = header else { return Err(VaultError::Refused) };
        let version =
            version.try_into().map(u32::from_be_bytes).map_err(|_| VaultError::Refused)?;
        if *form != FORM {
            return Err(VaultError::Refused);
        }
        let key = self
            .keys
            .iter()
            .find(|key| key.version == version)
            .ok_or(VaultError::KeyMissing(version))?;
        aead::open(&key.key, &associated_data(place, version), body)
    }

    fn check_owner(&self, place: Place) -> Result<(), VaultError> {
        if place.owner == self.owner { Ok(()) } else { Err(VaultError::Refused) }
    }
}

/// Owner, table, column, row and key version, each of fixed length or ended by a separator that names
/// cannot hold.
fn associated_data(place: Place, version: u32) -> Vec<u8> {
    let mut data = owner_bytes(place.owner).to_vec();
    for name in [place.column.table, place.column.column] {
        data.extend_from_slice(name.as_bytes());
        data.push(0);
    }
    data.extend_from_slice(place.row.as_bytes());
    data.extend_from_slice(&version.to_be_bytes());
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, FileKeyProvider};
    use domain::id::TenantId;
    use proptest::prelude::*;
    use uuid::Uuid;

    const COLUMN: Column = Column { table: "payment_methods", column: "token_sealed" };

    fn owner(number: u128) -> Owner {
        Owner::Tenant(TenantId::from_uuid(Uuid::from_u128(number)))
    }

    fn place(number: u128) -> Place {
        Place { owner: owner(number), column: COLUMN, row: Uuid::from_u128(7) }
    }

    fn provider(keys: &[u8]) -> FileKeyProvider {
        FileKeyProvider::new(keys.iter().map(|byte| Secret::new([*byte; KEY_BYTES])).collect())
    }

    fn keys(versions: &[u32]) -> DataKeys {
        let generate = |version: &u32| {
            DataKey::generate(
                &provider(&[1]),
                owner(1),
                Purpose::PaymentMethods,
                *version,
                &Entropy::default(),
            )
            .unwrap()
            .0
        };
        DataKeys::new(owner(1), versions.iter().map(generate).collect())
    }

    #[test]
    fn a_value_opens_in_its_place_only() {
        let keys = keys(&[1]);
        let sealed = keys.seal(place(1), b"card_123", &Entropy::default()).unwrap();
        assert_eq!(keys.open(place(1), &sealed).unwrap().expose(), b"card_123");
        let elsewhere = [
            place(2),
            Place { row: Uuid::from_u128(8), ..place(1) },
            Place { column: Column { column: "other", ..COLUMN }, ..place(1) },
            Place { column: Column { table: "other", ..COLUMN }, ..place(1) },
            Place { owner: Owner::Platform, ..place(1) },
        ];
        for place in elsewhere {
            assert_eq!(keys.open(place, &sealed).unwrap_err(), VaultError::Refused);
        }
        let same_place_other_key = self::keys(&[1]);
        assert_eq!(same_place_other_key.open(place(1), &sealed).unwrap_err(), VaultError::Refused);
    }

    #[test]
    fn the_newest_version_seals_and_older_ones_still_open() {
        let both = keys(&[1, 2]);
        let old = DataKeys::new(owner(1), both.keys[..1].to_vec());
        let sealed_before = old.seal(place(1), b"x", &Entropy::default()).unwrap();
        assert!(both.open(place(1), &sealed_before).is_ok());
        let sealed_after = both.seal(place(1), b"x", &Entropy::default()).unwrap();
        assert_eq!(old.open(place(1), &sealed_after).unwrap_err(), VaultError::KeyMissing(2));
    }

    #[test]
    fn a_wrapped_key_is_bound_to_its_owner_and_survives_rotation_of_the_wrapping_key() {
        let (_, wrapped) = DataKey::generate(
            &provider(&[1]),
            owner(1),
            Purpose::PaymentMethods,
            1,
            &Entropy::default(),
        )
        .unwrap();
        let unwrap = |keys: &[u8], owner, purpose, version| {
            DataKey::unwrap(&provider(keys), owner, purpose, version, &wrapped).is_ok()
        };
        assert!(unwrap(&[1], owner(1), Purpose::PaymentMethods, 1));
        assert!(unwrap(&[1, 9], owner(1), Purpose::PaymentMethods, 1));
        assert!(!unwrap(&[9], owner(1), Purpose::PaymentMethods, 1));
        assert!(!unwrap(&[1], owner(2), Purpose::PaymentMethods, 1));
        assert!(!unwrap(&[1], owner(1), Purpose::SigningKeys, 1));
        assert!(!unwrap(&[1], owner(1), Purpose::PaymentMethods, 2));
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_noticed(plain: Vec<u8>, at: usize, flip in 1_u8..) {
            let keys = keys(&[1]);
            let mut sealed = keys.seal(place(1), &plain, &Entropy::default()).unwrap();
            let at = at % sealed.len();
            sealed[at] ^= flip;
            prop_assert!(keys.open(place(1), &sealed).is_err());
        }

        #[test]
        fn any_bytes_are_refused_without_panic(bytes: Vec<u8>) {
            prop_assert!(keys(&[1]).open(place(1), &bytes).is_err());
        }
    }
}
