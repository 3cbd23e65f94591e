//! A provider told of something. What it says is a hint: what is so is read again from it, so that the order in which
//! events come does not matter, and one that comes twice changes nothing.

use domain::event::Action;
use domain::id::{DisputeId, TenantId};
use domain::payment::{ChargeKey, Dispute, MethodLabel, ProviderName, RefundKey};
use domain::secret::Secret;
use jiff::Timestamp;
use payments::{About, Fact};
use serde_json::json;
use store::disputes::{self, Became};
use store::provider_events::{self, Outcome as Heard};
use store::{Error, TenantTx, charges, payment_methods, subscriptions};

use super::{outcome_of, refund, settle};
use crate::app::App;
use crate::jobs::billing::{dunning, tell};
use crate::runtime::outcome::Outcome;

pub(super) async fn hear(
    app: &App,
    provider: ProviderName,
    event_id: &str,
) -> anyhow::Result<Outcome> {
    let mut tx = app.store.control().await?;
    let Some(about) = provider_events::about(&mut tx, provider, event_id).await? else {
        return Ok(Outcome::Done);
    };
    drop(tx);
    let about: About = serde_json::from_value(about)?;
    let fact = match (app.providers.get(provider), &about) {
        (None, _) | (_, About::Nothing) => None,
        (Some(client), about) => match client.read(about).await {
            Ok(fact) => fact,
            Err(error) => return outcome_of(error),
        },
    };

    let now = app.clock.now();
    let tenant = fact.as_ref().map(tenant_of);
    let (mut tx, heard) = match (tenant, fact) {
        (Some(tenant), Some(fact)) => {
            let mut tx = app.store.begin(tenant).await?;
            match apply(app, &mut tx, provider, fact, now).await {
                Ok(()) => (tx.leave_tenant().await?, Heard::Applied),
                // Of another installation with the same account, or of a tenant that is gone.
                Err(error) if is_not_found(&error) => {
                    drop(tx);
                    (app.store.control().await?, Heard::Ignored)
                }
                Err(error) => return Err(error),
            }
        }
        _ => (app.store.control().await?, Heard::Ignored),
    };
    provider_events::note_processed(&mut tx, provider, event_id, heard, now).await?;
    tx.commit().await?;
    Ok(Outcome::Done)
}

/// Reads from a provider what is so, without having been told of anything.
pub(super) async fn look(
    app: &App,
    provider: ProviderName,
    about: &About,
) -> anyhow::Result<Outcome> {
    let Some(client) = app.providers.get(provider) else { return Ok(Outcome::Done) };
    let fact = match client.read(about).await {
        Ok(fact) => fact,
        Err(error) => return outcome_of(error),
    };
    let Some(fact) = fact else { return Ok(Outcome::Done) };
    let mut tx = app.store.begin(tenant_of(&fact)).await?;
    apply(app, &mut tx, provider, fact, app.clock.now()).await?;
    tx.commit().await?;
    Ok(Outcome::Done)
}

fn is_not_found(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<Error>(), Some(Error::NotFound))
}

pub(super) const fn tenant_of(fact: &Fact) -> TenantId {
    match fact {
        Fact::Charge(ChargeKey { tenant_id, .. }, _)
        | Fact::Dispute(ChargeKey { tenant_id, .. }, _)
        | Fact::Refund(RefundKey { tenant_id, .. }, _)
        | Fact::Method(tenant_id, ..) => *tenant_id,
    }
}

pub(super) async fn apply(
    app: &App,
    tx: &mut TenantTx,
    provider: ProviderName,
    fact: Fact,
    now: Timestamp,
) -> anyhow::Result<()> {
    match fact {
        Fact::Charge(key, told) => {
            let id = charges::of_key(tx, key).await?;
            settle::settle(app, tx, id, &told, now).await
        }
        Fact::Refund(key, told) => refund::settle(app, tx, key.refund_id, &told, now).await,
        Fact::Dispute(_, told) => dispute(app, tx, provider, &told, now).await,
        Fact::Method(_, token, label) => method(app, tx, provider, &token, label).await,
    }
}

/// While one is open nobody is chased: there is somebody to talk to first.
async fn dispute(
    app: &App,
    tx: &mut TenantTx,
    provider: ProviderName,
    told: &Dispute,
    now: Timestamp,
) -> anyhow::Result<()> {
    subscriptions::get_for_update(tx).await?;
    let id = DisputeId::new(now, rand::random());
    let (action, invoice) = match disputes::record(tx, id, provider, told, now).await? {
        Became::Known => return Ok(()),
        // The payment is told of by itself; until then the job is tried again.
        Became::NoPayment => anyhow::bail!("the disputed payment is not on record yet"),
        Became::Opened(invoice) => (Action::PaymentDisputed, invoice),
        Became::Closed(invoice) => (Action::DisputeClosed, invoice),
    };
    let changes = json!({
        "invoice": invoice.to_string(), "amount": told.amount, "reason": told.reason, "state": told.state,
    });
    tell::audit(tx, action, told.reference.clone(), changes, now).await?;
    dunning::pause_or_go_on(app, tx, now).await
}

/// A card was renewed by its bank, or a way to pay was revoked at its provider.
async fn method(
    app: &App,
    tx: &mut TenantTx,
    provider: ProviderName,
    token: &Secret<String>,
    label: Option<MethodLabel>,
) -> anyhow::Result<()> {
    for method in payment_methods::list(tx).await? {
        if method.provider != provider
            || payment_methods::token(tx, &app.sealer, method.id).await? != *token
        {
            continue;
        }
        match &label {
            Some(label) => payment_methods::relabel(tx, method.id, label).await?,
            None => payment_methods::remove(tx, method.id).await?,
        }
    }
    Ok(())
}
