//! The keys that sign access tokens: made once by `migrate`, sealed by the vault, loaded at start.

use anyhow::Context;
use credentials::access_token::{PublicJwk, TokenIssuer, generate_signing_key};
use domain::id::SigningKeyId;
use domain::secret::Secret;
use jiff::Timestamp;
use store::{Store, signing_keys};
use vault::{Column, DataKeys, Owner, Place, Purpose};

use crate::app::{Keys, random};

const COLUMN: Column = Column { table: "signing_keys", column: "private_sealed" };
const PURPOSE: Purpose = Purpose::SigningKeys;

/// The issuer under the newest key, and every published key.
pub(crate) async fn load(
    store: &Store,
    keys: &Keys,
) -> anyhow::Result<(TokenIssuer, Vec<PublicJwk>)> {
    let mut tx = store.control().await?;
    let stored = signing_keys::list(&mut tx).await?;
    let newest = stored.first().context("the table signing_keys is empty")?;
    let data_keys = keys.sealer.platform_keys_there(&mut tx, PURPOSE).await?;
    let private = data_keys.open(place(newest.id), &newest.private_sealed)?;
    let issuer = TokenIssuer::new(newest.id, &private)?;
    let published = stored
        .into_iter()
        .map(|key| serde_json::from_value(key.public_jwk))
        .collect::<Result<_, _>>()?;
    Ok((issuer, published))
}

/// Makes the first key, unless there is one.
pub(crate) async fn ensure(store: &Store, keys: &Keys, now: Timestamp) -> anyhow::Result<()> {
    let mut tx = store.control().await?;
    if !signing_keys::list(&mut tx).await?.is_empty() {
        return Ok(());
    }
    let data_keys = keys.sealer.platform_keys(&mut tx, PURPOSE, now).await?;
    let id = SigningKeyId::new(now, random());
    let (private, public) = generate_signing_key(id, &ring::rand::SystemRandom::new())?;
    let key = signing_keys::SigningKey {
        id,
        public_jwk: serde_json::to_value(public)?,
        private_sealed: seal(&data_keys, id, &private, keys)?,
    };
    signing_keys::insert_first(&mut tx, &key, now).await?;
    tx.commit().await?;
    Ok(())
}

fn seal(
    data_keys: &DataKeys,
    id: SigningKeyId,
    private: &Secret<Vec<u8>>,
    keys: &Keys,
) -> anyhow::Result<Vec<u8>> {
    Ok(data_keys.seal(place(id), private.expose(), keys.sealer.entropy())?)
}

const fn place(id: SigningKeyId) -> Place {
    Place { owner: Owner::Platform, column: COLUMN, row: id.as_uuid() }
}
