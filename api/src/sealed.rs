//! Columns of a tenant that the vault seals: its data keys are made at first use, in the same transaction.

use domain::secret::Secret;
use store::TenantTx;
use store::data_keys::{self, WrappedDataKey};
use uuid::Uuid;
use vault::{Column, DataKey, DataKeys, Owner, Place, Purpose};

use crate::app::App;
use crate::problem::Problem;

/// Where a subscription keeps its way to pay.
pub(crate) const PAYMENT_METHOD: Column =
    Column { table: "subscriptions", column: "payment_method_sealed" };

/// Seals `plain` for `row` of a column of the tenant of `tx`.
pub(crate) async fn seal(
    app: &App,
    tx: &mut TenantTx,
    purpose: Purpose,
    column: Column,
    row: Uuid,
    plain: &Secret<String>,
) -> Result<Vec<u8>, Problem> {
    let owner = Owner::Tenant(tx.tenant_id());
    let provider = app.keys.provider.as_ref();
    let mut keys = data_keys::list_tenant(tx, purpose.as_str()).await?;
    if keys.is_empty() {
        let (_, wrapped) = DataKey::generate(provider, owner, purpose, 1, &app.keys.entropy)?;
        let key = WrappedDataKey { version: 1, wrapped };
        data_keys::insert_tenant(tx, purpose.as_str(), &key, app.now()).await?;
        // Read again: another transaction may have been first, and its key is the one that counts.
        keys = data_keys::list_tenant(tx, purpose.as_str()).await?;
    }
    let unwrap = |key: &WrappedDataKey| {
        DataKey::unwrap(provider, owner, purpose, key.version.unsigned_abs(), &key.wrapped)
    };
    let keys = DataKeys::new(owner, keys.iter().map(unwrap).collect::<Result<_, _>>()?);
    let place = Place { owner, column, row };
    Ok(keys.seal(place, plain.expose().as_bytes(), &app.keys.entropy)?)
}
