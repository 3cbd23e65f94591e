//! Messages to owners about their tenant.

use domain::id::{SubscriptionId, WebhookEndpointId};
use domain::meter::MeterName;
use jiff::Timestamp;
use jobs::catalog::Owner;
use store::TenantTx;
use store::mail_facts::{self, MemberFacts};

use super::{OrUntrue, Undrafted};
use crate::app::App;
use crate::mail::message::Message;
use crate::mail::words::{TrialEnding, UsageAlert, WebhookTrouble};

pub(super) async fn trial_ending(
    app: &App,
    owner: Owner,
    id: SubscriptionId,
) -> Result<Message, Undrafted> {
    let (mut tx, member) = recipient(app, owner).await?;
    let trial = mail_facts::trial(&mut tx, id).await.or_untrue("the trial has ended")?;
    let words = TrialEnding::new(&member, &trial, app.account_url.clone());
    Ok(Message::of(&member.email, &words)?)
}

pub(super) async fn usage_alert(
    app: &App,
    owner: Owner,
    meter: &MeterName,
    percent: u16,
    period_start: Timestamp,
) -> Result<Message, Undrafted> {
    let (mut tx, member) = recipient(app, owner).await?;
    let usage = mail_facts::usage(&mut tx, meter, period_start)
        .await
        .or_untrue("the period or its limit is another")?;
    let words = UsageAlert::new(&member, &usage, percent, app.account_url.clone());
    Ok(Message::of(&member.email, &words)?)
}

pub(super) async fn webhook_trouble(
    app: &App,
    owner: Owner,
    id: WebhookEndpointId,
) -> Result<Message, Undrafted> {
    let (mut tx, member) = recipient(app, owner).await?;
    let facts =
        mail_facts::webhook(&mut tx, id).await.or_untrue("nothing is wrong with it any more")?;
    let words = WebhookTrouble::new(&member, &facts, app.account_url.clone());
    Ok(Message::of(&member.email, &words)?)
}

/// Whom it is for, if they are an owner still.
pub(super) async fn recipient(
    app: &App,
    owner: Owner,
) -> Result<(TenantTx, MemberFacts), Undrafted> {
    let mut tx = app.store.begin(owner.tenant_id).await?;
    let member = mail_facts::owner(&mut tx, owner.membership_id)
        .await
        .or_untrue("they are no owner of the tenant any more")?;
    Ok((tx, member))
}
