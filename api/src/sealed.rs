//! Columns of a tenant that the vault seals.

use domain::secret::Secret;
use store::TenantTx;
use uuid::Uuid;
use vault::{Column, Owner, Place, Purpose};

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
    let keys = app.keys.sealer.keys(tx, purpose, app.now()).await?;
    let place = Place { owner: Owner::Tenant(tx.tenant_id()), column, row };
    Ok(keys.seal(place, plain.expose().as_bytes(), app.keys.sealer.entropy())?)
}
