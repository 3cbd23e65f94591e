//! Money that goes back: a pull payment, which the customer draws at its page. Operators send them its address, which
//! the server shows.

use domain::payment::{Refund, RefundState};
use jiff::Timestamp;
use serde_json::json;

use super::client::{Client, no_store};
use super::objects::{Payout, PullPayment};
use crate::decimal;
use crate::error::PaymentError;
use crate::provider::{Fact, RefundOrder, Settled, SettledKind};

/// A refund of ours, made once: it is looked for first, for the server would make a second one.
pub(super) async fn refund(
    client: &Client,
    order: &RefundOrder<'_>,
) -> Result<Refund, PaymentError> {
    if let Some(made) = look_up(client, order).await? {
        return Ok(made);
    }
    let amount = decimal::text(order.amount, order.amount.currency.minor_digits())
        .ok_or(PaymentError::Unsupported("BTCPay Server takes no such amount"))?;
    let body = json!({
        // 50 characters at most: the whole key is in the description.
        "name": order.key.refund_id.to_string(),
        "description": order.key.to_string(),
        "refundVariant": "Custom",
        "customAmount": amount,
        "customCurrency": order.amount.currency.as_str(),
    });
    let path = ["invoices", order.charge_reference, "refund"];
    let made: Option<PullPayment> = client.post(&path, &body).await?;
    made.ok_or_else(no_store)?.into_refund(&[])
}

/// What became of a refund of ours: by its id, else among all of the store.
pub(super) async fn look_up(
    client: &Client,
    order: &RefundOrder<'_>,
) -> Result<Option<Refund>, PaymentError> {
    let pull = if let Some(id) = order.reference {
        client.find(&["pull-payments", id], &[]).await?
    } else {
        let name = order.key.refund_id.to_string();
        all(client).await?.into_iter().find(|pull| pull.name.as_deref() == Some(&name))
    };
    match pull {
        Some(pull) => drawn(client, pull).await.map(Some),
        None => Ok(None),
    }
}

/// All of the store; the list has no pages.
async fn all(client: &Client) -> Result<Vec<PullPayment>, PaymentError> {
    let query = [("includeArchived", "true")];
    client.find_in_store(&["pull-payments"], &query).await?.ok_or_else(no_store)
}

async fn payouts(client: &Client, id: &str) -> Result<Vec<Payout>, PaymentError> {
    let path = ["pull-payments", id, "payouts"];
    Ok(client.find(&path, &[("includeCancelled", "true")]).await?.unwrap_or_default())
}

async fn drawn(client: &Client, pull: PullPayment) -> Result<Refund, PaymentError> {
    let payouts = payouts(client, &pull.id).await?;
    pull.into_refund(&payouts)
}

/// What is known of a refund now.
pub(super) async fn read(client: &Client, id: &str) -> Result<Option<Fact>, PaymentError> {
    let pull: Option<PullPayment> = client.find(&["pull-payments", id], &[]).await?;
    let Some(pull) = pull else { return Ok(None) };
    let Some(key) = pull.key() else { return Ok(None) };
    Ok(Some(Fact::Refund(key, drawn(client, pull).await?)))
}

/// What went back by what began in `[from, to)`. What nobody has drawn has not left.
pub(super) async fn settled(
    client: &Client,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Settled>, PaymentError> {
    let mut settled = Vec::new();
    for pull in all(client).await? {
        let at = pull.created()?;
        if !(from <= at && at < to) {
            continue;
        }
        let key = pull.key().map(|key| key.to_string());
        let payouts = payouts(client, &pull.id).await?;
        let paid = pull.paid_out(&payouts)?;
        let refund = pull.into_refund(&payouts)?;
        // Whole, once all was drawn, however the last part was rounded.
        let amount = if refund.state == RefundState::Succeeded { refund.amount } else { paid };
        if amount.amount_minor > 0 {
            let (kind, reference) = (SettledKind::Refund, refund.reference);
            settled.push(Settled { kind, reference, key, amount, at });
        }
    }
    Ok(settled)
}
