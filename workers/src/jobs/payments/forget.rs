//! A way to pay was taken off the file: its provider forgets it, too.

use domain::id::{PaymentMethodId, TenantId};
use payments::PaymentError;
use store::payment_methods;

use super::outcome_of;
use crate::app::App;
use crate::runtime::outcome::Outcome;

pub(super) async fn forget(
    app: &App,
    tenant: TenantId,
    id: PaymentMethodId,
) -> anyhow::Result<Outcome> {
    let mut tx = app.store.begin(tenant).await?;
    let name = payment_methods::provider_of(&mut tx, id).await?;
    let token = payment_methods::token(&mut tx, &app.sealer, id).await?;
    drop(tx);
    let Some(provider) = app.providers.get(name) else { return Ok(Outcome::Done) };
    match provider.forget_method(&token).await {
        // There is nothing to forget, or nothing that it would.
        Ok(()) | Err(PaymentError::Refused { .. } | PaymentError::Unsupported(_)) => {
            Ok(Outcome::Done)
        }
        Err(error) => outcome_of(error),
    }
}
