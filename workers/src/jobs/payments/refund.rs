//! Gives money back: it was taken from the balance when it was asked for, and is put there again if it does not arrive.

use std::time::Duration;

use domain::event::Action;
use domain::id::{RefundId, TenantId};
use domain::payment::{Refund as Told, RefundKey, RefundState};
use jiff::Timestamp;
use payments::{PaymentError, Provider, RefundOrder};
use serde_json::json;
use store::refunds::{self, Refund};
use store::{TenantTx, subscriptions};
use webhooks::events::billing::{PaymentData, PaymentRefunded};

use super::charge::{ASKED_PAUSE, alone};
use super::outcome_of;
use crate::app::App;
use crate::jobs::billing::{paid, tell, tenant_now};
use crate::runtime::outcome::Outcome;

pub(super) async fn refund(app: &App, tenant: TenantId, id: RefundId) -> anyhow::Result<Outcome> {
    let mut tx = app.store.begin(tenant).await?;
    let refund = refunds::get_for_update(&mut tx, id).await?;
    if !matches!(refund.state.as_str(), "Pending" | "Processing") {
        return Ok(Outcome::Done);
    }
    let now = app.clock.now();
    if let Some(until) = refund.asked_until.filter(|until| *until > now) {
        let pause = Duration::try_from(until.duration_since(now))?.min(ASKED_PAUSE);
        return Ok(Outcome::RetryAfter(pause, "somebody else is asking".to_owned()));
    }
    // Before it is asked for: from here on a repetition looks it up.
    refunds::note_sent(&mut tx, id, now + alone(app), now).await?;
    tx.commit().await?;

    let told = match refund.provider().and_then(|name| app.providers.get(name)) {
        Some(provider) => ask(provider.as_ref(), &refund, tenant).await,
        // An operator pays it back by hand, and asked for this when it was done.
        None => Ok(by_hand(&refund)),
    };
    let told = match told {
        Ok(told) => told,
        // The provider says that it will not: it was taken from the balance, and goes back there.
        Err(PaymentError::Refused { code, .. }) => {
            tracing::warn!(refund.id = %id, code, "the provider refuses a refund");
            Told { state: RefundState::Failed, ..by_hand(&refund) }
        }
        Err(error) => {
            let mut tx = app.store.begin(tenant).await?;
            refunds::note_asked(&mut tx, id).await?;
            tx.commit().await?;
            return outcome_of(error);
        }
    };

    let mut tx = app.store.begin(tenant).await?;
    // Locked first, as by whoever settles it for a webhook meanwhile: the other way round both would wait for each other.
    subscriptions::get_for_update(&mut tx).await?;
    refunds::note_asked(&mut tx, id).await?;
    let now = tenant_now(app, &mut tx).await?;
    settle(app, &mut tx, id, &told, now).await?;
    tx.commit().await?;
    Ok(Outcome::Done)
}

fn by_hand(refund: &Refund) -> Told {
    let reference = refund.reference.clone().unwrap_or_else(|| refund.id.to_string());
    Told { reference, amount: refund.amount, begun_at: None, state: RefundState::Succeeded }
}

async fn ask(
    provider: &dyn Provider,
    refund: &Refund,
    tenant_id: TenantId,
) -> Result<Told, PaymentError> {
    let order = RefundOrder {
        key: RefundKey { tenant_id, refund_id: refund.id },
        amount: refund.amount,
        charge_reference: &refund.payment_reference,
        reference: refund.reference.as_deref(),
        begun_at: refund.created_at,
    };
    let known = if refund.sent { provider.look_up_refund(&order).await? } else { None };
    match known {
        Some(told) => Ok(told),
        None => provider.refund(&order).await,
    }
}

/// Stores what a provider says of a refund, and tells of it.
pub(super) async fn settle(
    app: &App,
    tx: &mut TenantTx,
    id: RefundId,
    told: &Told,
    now: Timestamp,
) -> anyhow::Result<()> {
    subscriptions::get_for_update(tx).await?;
    let refund = refunds::get_for_update(tx, id).await?;
    if !refunds::settle(tx, &refund, told, now).await? || told.state == RefundState::Processing {
        return Ok(());
    }
    let changes = json!({
        "invoice": refund.invoice_id.to_string(), "payment": refund.payment_id.to_string(),
        "amount": refund.amount, "state": told.state,
    });
    tell::audit(tx, Action::PaymentRefunded, id.to_string(), changes, now).await?;
    if told.state == RefundState::Succeeded {
        let data = PaymentRefunded(PaymentData {
            invoice_id: refund.invoice_id.to_string(),
            payment_id: refund.payment_id.to_string(),
            amount: paid::told_amount(refund.amount),
            failure: None,
        });
        tell::endpoints(app, tx, &data, format!("payment.refunded {id}"), now).await?;
    }
    Ok(())
}
