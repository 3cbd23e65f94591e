//! Tells tenants of endpoints through which nothing gets: at a half, seven and nine tenths of five days, and when it is
//! disabled. Each once: what was told is marked in the transaction that tells.

use domain::id::{TenantId, WebhookEndpointId, WebhookMessageId};
use jiff::Timestamp;
use jobs::catalog::{Owner, SendEmail};
use jobs::{Options, enqueue};
use store::webhook_endpoints::{self, DisabledReason, Endpoint};
use store::webhook_messages::{self, Audience, NewMessage};
use store::{TenantTx, memberships, webhook_dispatch};
use webhooks::events::Event;
use webhooks::events::endpoint::{DisabledData, EndpointDisabled, EndpointFailing, FailingData};
use webhooks::schedule::warning;

use crate::app::App;

pub(super) async fn judge(app: &App) -> anyhow::Result<()> {
    for (tenant_id, endpoint_id) in webhook_dispatch::failing(&app.store).await? {
        let mut tx = app.store.begin(tenant_id).await?;
        judge_one(app, &mut tx, endpoint_id).await?;
        tx.commit().await?;
    }
    Ok(())
}

async fn judge_one(app: &App, tx: &mut TenantTx, id: WebhookEndpointId) -> anyhow::Result<()> {
    let endpoint = match webhook_endpoints::get(tx, id).await {
        Err(store::Error::NotFound) => return Ok(()),
        other => other?,
    };
    let health = endpoint.health;
    let (Some(since), Some(last), None) =
        (health.failing_since, health.failed_last, &endpoint.disabled)
    else {
        return Ok(());
    };
    let Some(percent) = warning(since, last).filter(|percent| *percent > health.warned_percent)
    else {
        return Ok(());
    };
    webhook_endpoints::note_warned(tx, id, percent).await?;
    let now = app.clock.now();
    if percent == 100 {
        return disable(app, tx, &endpoint, DisabledReason::Failing, now).await;
    }
    let event = EndpointFailing(FailingData {
        endpoint_id: id.to_string(),
        url: without_query(&endpoint),
        failing_since: since.to_string(),
        percent,
    });
    tell(app, tx, id, &event, &format!("{since} {percent}"), now).await
}

/// An endpoint that answered 410: never again.
pub(crate) async fn gone(
    app: &App,
    tenant_id: TenantId,
    endpoint_id: WebhookEndpointId,
) -> anyhow::Result<()> {
    let mut tx = app.store.begin(tenant_id).await?;
    let endpoint = match webhook_endpoints::get(&mut tx, endpoint_id).await {
        Err(store::Error::NotFound) => return Ok(()),
        other => other?,
    };
    disable(app, &mut tx, &endpoint, DisabledReason::Gone, app.clock.now()).await?;
    tx.commit().await?;
    Ok(())
}

async fn disable(
    app: &App,
    tx: &mut TenantTx,
    endpoint: &Endpoint,
    reason: DisabledReason,
    now: Timestamp,
) -> anyhow::Result<()> {
    if !webhook_endpoints::disable(tx, endpoint.id, reason, now).await? {
        return Ok(());
    }
    tracing::info!(endpoint = %endpoint.id, "an endpoint is disabled: {}", reason.as_str());
    let event = EndpointDisabled(DisabledData {
        endpoint_id: endpoint.id.to_string(),
        url: without_query(endpoint),
        reason: reason.as_str().to_owned(),
    });
    tell(app, tx, endpoint.id, &event, &format!("disabled {now}"), now).await
}

/// Where it is, as others may know: queries hold credentials at times.
fn without_query(endpoint: &Endpoint) -> String {
    let mut url = endpoint.settings.url.url().clone();
    url.set_query(None);
    url.to_string()
}

/// Tells the tenant's owners, and its other endpoints.
async fn tell<E: Event>(
    app: &App,
    tx: &mut TenantTx,
    endpoint_id: WebhookEndpointId,
    event: &E,
    occasion: &str,
    now: Timestamp,
) -> anyhow::Result<()> {
    let tenant_id = tx.tenant_id();
    for membership_id in memberships::owners(tx).await? {
        let owner = Owner { tenant_id, membership_id };
        let key = format!("webhook {endpoint_id} {occasion} {membership_id}");
        let options = Options { idempotency_key: Some(key), ..Options::default() };
        enqueue(tx, &SendEmail::WebhookTrouble { owner, endpoint_id }, options).await?;
    }
    let message = NewMessage::of(WebhookMessageId::new(now, rand::random()), event, now)?;
    let audience = Audience::AllBut(endpoint_id);
    webhook_messages::publish(tx, &app.sealer, &message, audience, now).await?;
    Ok(())
}
