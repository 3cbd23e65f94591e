//! The vault's keys of a tenant: made at first use, in the transaction that needs them.

use std::fmt;

use jiff::Timestamp;
use vault::{DataKey, DataKeys, Entropy, KeyProvider, Owner, Purpose, VaultError};

use crate::data_keys::{self, WrappedDataKey};
use crate::error::Error;
use crate::tenant_tx::TenantTx;

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

    /// What wraps data keys.
    #[must_use]
    pub fn provider(&self) -> &dyn KeyProvider {
        self.provider.as_ref()
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
        let owner = Owner::Tenant(tx.tenant_id());
        let (_, wrapped) = DataKey::generate(self.provider(), owner, purpose, 1, &self.entropy)?;
        let key = WrappedDataKey { version: 1, wrapped };
        data_keys::insert_tenant(tx, purpose.as_str(), &key, now).await?;
        // Read again: another transaction may have been first, and its key is the one that counts.
        self.keys_there(tx, purpose).await
    }

    /// The keys that there are: none for a tenant that has sealed nothing, or whose keys were destroyed.
    ///
    /// # Errors
    /// As [`Self::keys`].
    pub async fn keys_there(&self, tx: &mut TenantTx, purpose: Purpose) -> Result<DataKeys, Error> {
        let owner = Owner::Tenant(tx.tenant_id());
        let wrapped = data_keys::list_tenant(tx, purpose.as_str()).await?;
        let unwrap = |key: &WrappedDataKey| {
            let version = key.version.unsigned_abs();
            DataKey::unwrap(self.provider(), owner, purpose, version, &key.wrapped)
        };
        let keys: Result<Vec<_>, VaultError> = wrapped.iter().map(unwrap).collect();
        Ok(DataKeys::new(owner, keys?))
    }
}
