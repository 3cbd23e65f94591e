//! The key that signs heads of audit trails: made once by `migrate`, sealed by the vault. Workers sign with it.

use audit_log::HeadSigner;
use domain::id::AuditKeyId;
use jiff::Timestamp;
use store::{Store, audit_keys};
use vault::{Owner, Place, Purpose};

use crate::app::{Keys, random};

/// Makes the first key, unless there is one.
pub(crate) async fn ensure(store: &Store, keys: &Keys, now: Timestamp) -> anyhow::Result<()> {
    let mut tx = store.control().await?;
    if audit_keys::newest(&mut tx).await?.is_some() {
        return Ok(());
    }
    let data_keys = keys.sealer.platform_keys(&mut tx, Purpose::AuditKeys, now).await?;
    let id = AuditKeyId::new(now, random());
    let private = HeadSigner::generate()?;
    let key = HeadSigner::new(id, &private)?.key();
    let place = Place { owner: Owner::Platform, column: audit_keys::COLUMN, row: id.as_uuid() };
    let sealed = data_keys.seal(place, private.expose(), keys.sealer.entropy())?;
    audit_keys::insert_first(&mut tx, &key, &sealed, now).await?;
    tx.commit().await?;
    Ok(())
}
