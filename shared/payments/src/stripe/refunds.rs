//! Money that goes back, by us or by a dispute.

use domain::payment::Refund;

use super::amount_text;
use super::charges::since;
use super::client::{Client, Form};
use super::objects::{DisputeObject, OURS, RefundObject};
use crate::call::found;
use crate::error::PaymentError;
use crate::provider::{Fact, RefundOrder};

/// A refund of ours, made once.
pub(super) async fn refund(
    client: &Client,
    order: &RefundOrder<'_>,
) -> Result<Refund, PaymentError> {
    let metadata = format!("metadata[{OURS}]");
    let form: Form<'_> = vec![
        ("payment_intent", order.charge_reference.to_owned()),
        ("amount", amount_text(order.amount)?),
        (&metadata, order.key.to_string()),
    ];
    let key = order.key.refund_id.to_string();
    let refund: RefundObject = client.post(&["refunds"], &form, Some(&key)).await?;
    refund.into_refund()
}

/// What became of a refund of ours.
pub(super) async fn look_up(
    client: &Client,
    order: &RefundOrder<'_>,
) -> Result<Option<Refund>, PaymentError> {
    let refund = if let Some(id) = order.reference {
        found(client.get(&["refunds", id], &[]).await)?
    } else {
        let from = since(order.begun_at);
        let query = [("payment_intent", order.charge_reference), ("created[gte]", from.as_str())];
        let refunds: Vec<RefundObject> = client.list(&["refunds"], &query).await?;
        refunds.into_iter().find(|refund| refund.key() == Some(order.key))
    };
    refund.map(RefundObject::into_refund).transpose()
}

/// What is known of a refund now.
pub(super) async fn read(client: &Client, id: &str) -> Result<Option<Fact>, PaymentError> {
    let refund: Option<RefundObject> = found(client.get(&["refunds", id], &[]).await)?;
    let Some(refund) = refund else { return Ok(None) };
    let Some(key) = refund.key() else { return Ok(None) };
    Ok(Some(Fact::Refund(key, refund.into_refund()?)))
}

/// What is known of a dispute now.
pub(super) async fn read_dispute(client: &Client, id: &str) -> Result<Option<Fact>, PaymentError> {
    let query = [("expand[0]", "payment_intent")];
    let dispute: Option<DisputeObject> = found(client.get(&["disputes", id], &query).await)?;
    let Some(dispute) = dispute else { return Ok(None) };
    let Some(key) = dispute.key() else { return Ok(None) };
    Ok(dispute.into_dispute()?.map(|dispute| Fact::Dispute(key, dispute)))
}
