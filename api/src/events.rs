//! Telling tenants' webhook endpoints what happened, in the transaction in which it happened.

use domain::id::WebhookMessageId;
use store::TenantTx;
use store::webhook_messages::{self, Audience, NewMessage, Published};
use webhooks::events::Event;

use crate::app::{App, random};
use crate::problem::Problem;

/// Tells every endpoint of the tenant that wants such events.
pub(crate) async fn publish<E: Event>(
    app: &App,
    tx: &mut TenantTx,
    event: &E,
) -> Result<(), Problem> {
    publish_to(app, tx, event, Audience::Subscribers).await?;
    Ok(())
}

/// Tells an audience; the message's id.
pub(crate) async fn publish_to<E: Event>(
    app: &App,
    tx: &mut TenantTx,
    event: &E,
    audience: Audience,
) -> Result<(WebhookMessageId, Published), Problem> {
    let now = app.now();
    let id = WebhookMessageId::new(now, random());
    let message = NewMessage::of(id, event, now).map_err(Problem::internal)?;
    let published =
        webhook_messages::publish(tx, &app.keys.sealer, &message, audience, now).await?;
    Ok((message.id, published))
}
