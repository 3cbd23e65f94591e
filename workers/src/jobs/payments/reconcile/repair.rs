//! An operator had a difference repaired: the books follow what the provider says, by balanced entries, once.
//!
//! What is on record nowhere here is read from the provider again and settled as if a webhook had told of it, and so is a
//! refund that came back or a dispute that was won. Where both know of a payment and differ, the difference is booked: more
//! is in the customer's credit, less is a loss.

use domain::event::Action;
use domain::id::{DifferenceId, TenantId};
use serde_json::json;
use store::reconciliation::{self, Difference, Ending};

use super::super::{event, outcome_of};
use super::{about, moved};
use crate::app::App;
use crate::jobs::billing::{tell, tenant_now};
use crate::runtime::outcome::Outcome;

pub(in crate::jobs::payments) async fn repair(
    app: &App,
    id: DifferenceId,
) -> anyhow::Result<Outcome> {
    let mut tx = app.store.control().await?;
    let found = reconciliation::get(&mut tx, id).await?;
    drop(tx);
    if found.state != "Open" {
        return Ok(Outcome::Done);
    }
    let Some(tenant) = found.tenant_id else {
        return Ok(Outcome::Discard(
            "it is of no tenant of ours; it can only be accepted".to_owned(),
        ));
    };
    match (found.what.as_str(), found.ours_minor) {
        ("Payment", Some(_)) => adjust(app, tenant, &found).await,
        _ => settle_again(app, tenant, &found).await,
    }
}

async fn settle_again(app: &App, tenant: TenantId, found: &Difference) -> anyhow::Result<Outcome> {
    let Some(provider) = app.providers.get(found.provider) else {
        return Ok(Outcome::Discard("the provider is not set up any more".to_owned()));
    };
    let fact = match provider.read(&about(found)).await {
        Ok(fact) => fact,
        Err(error) => return outcome_of(error),
    };
    let Some(fact) = fact.filter(|fact| event::tenant_of(fact) == tenant) else {
        return Ok(Outcome::Discard("the provider does not know it as one of ours".to_owned()));
    };
    // Noted as repaired it would not be looked at again.
    if found.ours_minor.is_some() && moved(&fact).is_some() {
        return Ok(Outcome::Discard(
            "the provider says of it what is on record; accept it once it is explained".to_owned(),
        ));
    }
    let mut tx = app.store.begin(tenant).await?;
    let now = tenant_now(app, &mut tx).await?;
    event::apply(app, &mut tx, found.provider, fact, now).await?;
    note(&mut tx, found, now).await?;
    tx.commit().await?;
    Ok(Outcome::Done)
}

async fn adjust(app: &App, tenant: TenantId, found: &Difference) -> anyhow::Result<Outcome> {
    let mut tx = app.store.begin(tenant).await?;
    let now = tenant_now(app, &mut tx).await?;
    if note(&mut tx, found, now).await? {
        reconciliation::adjust(&mut tx, found, now).await?;
    }
    tx.commit().await?;
    Ok(Outcome::Done)
}

/// Notes that it is repaired, and tells of it; whether nobody had done so.
async fn note(
    tx: &mut store::TenantTx,
    found: &Difference,
    now: jiff::Timestamp,
) -> anyhow::Result<bool> {
    let ended = reconciliation::end(tx, found.id, Ending::Repaired, now).await?;
    if ended {
        let changes = json!({
            "provider": found.provider, "what": found.what, "reference": found.reference,
            "ours_minor": found.ours_minor, "theirs_minor": found.theirs_minor, "currency": found.currency,
        });
        tell::audit(tx, Action::LedgerRepaired, found.id.to_string(), changes, now).await?;
    }
    Ok(ended)
}
