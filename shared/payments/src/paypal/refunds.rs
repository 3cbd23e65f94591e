//! Money that goes back.

use domain::payment::Refund;
use serde_json::json;

use super::client::Client;
use super::objects::{Capture, Order, RefundObject, Value, order_of};
use crate::call::found;
use crate::error::PaymentError;
use crate::provider::{Fact, RefundOrder};

/// A refund of ours, made once.
pub(super) async fn refund(
    client: &Client,
    order: &RefundOrder<'_>,
) -> Result<Refund, PaymentError> {
    let capture = capture(client, order.charge_reference).await?;
    let Some(capture) = capture else {
        return Err(PaymentError::Unsupported("PayPal has no money of this charge to give back"));
    };
    let body = json!({ "amount": Value::of(order.amount)?, "custom_id": order.key.to_string() });
    let key = order.key.refund_id.to_string();
    let path = ["v2", "payments", "captures", &capture.id, "refund"];
    client.post::<RefundObject>(&path, &body, Some(&key)).await?.into_refund()
}

/// The money of a charge, by either of its references.
async fn capture(client: &Client, reference: &str) -> Result<Option<Capture>, PaymentError> {
    if let Some(id) = order_of(reference) {
        let order: Option<Order> = found(client.get(&["v2", "checkout", "orders", id], &[]).await)?;
        return Ok(order.and_then(Order::into_capture));
    }
    found(client.get(&["v2", "payments", "captures", reference], &[]).await)
}

/// What became of a refund of ours: by its id, else among those of the order.
pub(super) async fn look_up(
    client: &Client,
    order: &RefundOrder<'_>,
) -> Result<Option<Refund>, PaymentError> {
    if let Some(id) = order.reference {
        let refund: Option<RefundObject> =
            found(client.get(&["v2", "payments", "refunds", id], &[]).await)?;
        return refund.map(RefundObject::into_refund).transpose();
    }
    let order_id = match order_of(order.charge_reference) {
        Some(id) => Some(id.to_owned()),
        None => capture(client, order.charge_reference)
            .await?
            .and_then(|capture| capture.supplementary_data.related_ids.order_id),
    };
    let Some(order_id) = order_id else { return Ok(None) };
    let whole: Option<Order> =
        found(client.get(&["v2", "checkout", "orders", &order_id], &[]).await)?;
    let mut refunds = whole.into_iter().flat_map(Order::into_refunds);
    let ours = refunds.find(|refund| refund.key() == Some(order.key));
    ours.map(RefundObject::into_refund).transpose()
}

/// What is known of a refund now.
pub(super) async fn read(client: &Client, id: &str) -> Result<Option<Fact>, PaymentError> {
    let refund: Option<RefundObject> =
        found(client.get(&["v2", "payments", "refunds", id], &[]).await)?;
    let Some(refund) = refund else { return Ok(None) };
    let Some(key) = refund.key() else { return Ok(None) };
    Ok(Some(Fact::Refund(key, refund.into_refund()?)))
}
