//! The vault's keys: a tenant's are made at first use, in the transaction that needs them.

use std::fmt;

use jiff::Timestamp;
use vault::{DataKey, DataKeys, Entropy, KeyProvider, Owner, Purpose, VaultError};

use crate::data_keys::{self, WrappedDataKey};
use crate::error::Error;
use crate::tenant_tx::{TenantTx, Tx};

/// Unwraps and makes data keys.
pub struct Sealer {
    provider: Box<dyn KeyProvider>,
    entropy: Entropy,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

impl Sealer {
    /// With the keys of `provider`.
    #[must_use]
    pub fn new(provider: Box<dyn KeyProvider>) -> Self {
        Self { provider, entropy: Entropy::default() }
    }

    /// Randomness for sealing.
    #[must_use]
    pub const fn entropy(&self) -> &Entropy {
        &self.entropy
    }

    /// The keys of the tenant of `tx` for `purpose`; the first is made if there is none.
    ///
    /// # Errors
    /// When the database is gone, or no key-encryption key opens them.
    pub async fn keys(
        &self,
        tx: &mut TenantTx,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<DataKeys, Error> {
        let keys = self.keys_there(tx, purpose).await?;
        if !keys.is_empty() {
            return Ok(keys);
        }
        let key = self.first_key(Owner::Tenant(tx.tenant_id()), purpose)?;
        data_keys::insert_tenant(tx, purpose.as_str(), &key, now).await?;
        // Read again: another transaction may have been first, and its key is the one that counts.
        self.keys_there(tx, purpose).await
    }

    /// The keys that there are: none for a tenant that has sealed nothing, or whose keys were destroyed.
    ///
    /// # Errors
    /// As [`Self::keys`].
    pub async fn keys_there(&self, tx: &mut TenantTx, purpose: Purpose) -> Result<DataKeys, Error> {
        let wrapped = data_keys::list_tenant(tx, purpose.as_str()).await?;
        self.unwrap(Owner::Tenant(tx.tenant_id()), purpose, &wrapped)
    }

    /// The platform's own keys for `purpose`.
    ///
    /// # Errors
    /// As [`Self::keys`].
    pub async fn platform_keys_there(
        &self,
        tx: &mut impl Tx,
        purpose: Purpose,
    ) -> Result<DataKeys, Error> {
        let wrapped = data_keys::list_platform(tx, purpose.as_str()).await?;
        self.unwrap(Owner::Platform, purpose, &wrapped)
    }

    /// The platform's own keys for `purpose`; the first is made if there is none.
    ///
    /// # Errors
    /// As [`Self::keys`].
    pub async fn platform_keys(
        &self,
        tx: &mut impl Tx,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<DataKeys, Error> {
        let keys = self.platform_keys_there(tx, purpose).await?;
        if !keys.is_empty() {
            return Ok(keys);
        }
        let key = self.first_key(Owner::Platform, purpose)?;
        data_keys::insert_platform(tx, purpose.as_str(), &key, now).await?;
        // Read again: another process may have been first, and its key is the one that counts.
        self.platform_keys_there(tx, purpose).await
    }

    fn first_key(&self, owner: Owner, purpose: Purpose) -> Result<WrappedDataKey, Error> {
        let (_, wrapped) =
            DataKey::generate(self.provider.as_ref(), owner, purpose, 1, &self.entropy)?;
        Ok(WrappedDataKey { version: 1, wrapped })
    }

    fn unwrap(
        &self,
        owner: Owner,
        purpose: Purpose,
        wrapped: &[WrappedDataKey],
    ) -> Result<DataKeys, Error> {
        let unwrap = |key: &WrappedDataKey| {
            let version = key.version.unsigned_abs();
            DataKey::unwrap(self.provider.as_ref(), owner, purpose, version, &key.wrapped)
        };
        let keys: Result<Vec<_>, VaultError> = wrapped.iter().map(unwrap).collect();
        Ok(DataKeys::new(owner, keys?))
    }
}
