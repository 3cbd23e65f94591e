//! What billing tells of: the audit trail, the tenant's endpoints, its owners.

use billing::Subscription;
use domain::event::{Action, ActorKind};
use domain::id::{AuditEventId, WebhookMessageId};
use domain::standing::Standing;
use jiff::Timestamp;
use jobs::catalog::{Owner, Payer, SendEmail};
use jobs::{Options, enqueue};
use serde_json::Value;
use store::audit_events::{self, Actor, NewAuditEvent};
use store::subscriptions::told;
use store::webhook_messages::{self, Audience, NewMessage};
use store::{TenantTx, mail_facts, memberships};
use webhooks::events::Event;
use webhooks::events::billing::{SubscriptionCanceled, SubscriptionData, SubscriptionUpdated};

use crate::app::App;

/// Records what the platform did.
pub(in crate::jobs) async fn audit(
    tx: &mut TenantTx,
    action: Action,
    target: String,
    changes: Value,
    now: Timestamp,
) -> anyhow::Result<()> {
    let actor = Actor { kind: ActorKind::System, id: None, address: None, request_id: None };
    let id = AuditEventId::new(now, rand::random());
    let event = NewAuditEvent { id, at: now, action, target, changes };
    audit_events::record(tx, &actor, &event).await?;
    Ok(())
}

/// Tells the tenant's endpoints, once for each `uid`.
pub(in crate::jobs) async fn endpoints<E: Event>(
    app: &App,
    tx: &mut TenantTx,
    event: &E,
    uid: String,
    now: Timestamp,
) -> anyhow::Result<()> {
    let mut message = NewMessage::of(WebhookMessageId::new(now, rand::random()), event, now)?;
    message.uid = Some(uid);
    webhook_messages::publish(tx, &app.sealer, &message, Audience::Subscribers, now).await?;
    Ok(())
}

/// Tells the tenant's owners, once each for each `occasion`.
pub(in crate::jobs) async fn owners(
    tx: &mut TenantTx,
    occasion: &str,
    message: impl Fn(Owner) -> SendEmail,
) -> anyhow::Result<()> {
    let tenant_id = tx.tenant_id();
    for membership_id in memberships::owners(tx).await? {
        let key = format!("{occasion} {membership_id}");
        let options = Options { idempotency_key: Some(key), ..Options::default() };
        enqueue(tx, &message(Owner { tenant_id, membership_id }), options).await?;
    }
    Ok(())
}

/// Tells who pays, once each for each `occasion`: the owners, and the address in the billing profile.
pub(in crate::jobs) async fn payers(
    tx: &mut TenantTx,
    occasion: &str,
    message: impl Fn(Payer) -> SendEmail,
) -> anyhow::Result<()> {
    owners(tx, occasion, |owner| message(Payer::Owner(owner))).await?;
    match mail_facts::billing_contact(tx).await {
        Ok(_) => {
            let contact = Payer::Contact { tenant_id: tx.tenant_id() };
            let key = format!("{occasion} contact");
            let options = Options { idempotency_key: Some(key), ..Options::default() };
            enqueue(tx, &message(contact), options).await?;
        }
        Err(store::Error::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Tells of a subscription that changed, or ended: then the free plan follows.
pub(in crate::jobs) async fn subscription(
    app: &App,
    tx: &mut TenantTx,
    after: &Subscription,
    standing: Standing,
    ended: bool,
    now: Timestamp,
) -> anyhow::Result<()> {
    let uid = |what: &str| format!("{what} {} {}", after.id, after.period.start);
    let data = told(after, standing);
    if ended {
        let canceled = SubscriptionData { status: "Canceled".to_owned(), ..data.clone() };
        endpoints(app, tx, &SubscriptionCanceled(canceled), uid("canceled"), now).await?;
    }
    endpoints(app, tx, &SubscriptionUpdated(data), uid("updated"), now).await
}
