//! Charges: an order an attempt, paid from the vault and captured at once.

use domain::payment::{Charge, ChargeState, Decline};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::client::{Client, Failure, Refusal};
use super::methods::{Token, token};
use super::objects::{Capture, Order, Value, WITHDRAWN, decline_of, order_of, order_reference};
use super::settled::transactions;
use crate::call::{Refusal as _, found};
use crate::error::PaymentError;
use crate::provider::{ChargeOrder, Fact};

/// How far the report's clock may be from ours.
const CLOCKS_APART: SignedDuration = SignedDuration::from_hours(1);
/// For how long after an attempt began the report is looked through. It is days behind never; hours, sometimes.
const LOOKED_FOR: SignedDuration = SignedDuration::from_hours(24 * 30);

/// A charge of ours, made once.
pub(super) async fn charge(
    client: &Client,
    order: &ChargeOrder<'_>,
) -> Result<Charge, PaymentError> {
    let Token::Vault(vault_id) = token(order.method)? else {
        return Err(PaymentError::Unsupported("the PayPal account was not confirmed by its owner"));
    };
    let body = json!({
        "intent": "CAPTURE",
        "purchase_units": [{
            "custom_id": order.key.to_string(),
            // Taken once in the merchant's account, so one a charge and not one an invoice.
            "invoice_id": format!("{}/{}", order.description, order.key.attempt),
            "description": order.description,
            "amount": Value::of(order.amount)?,
        }],
        "payment_source": { "paypal": {
            "vault_id": vault_id,
            "stored_credential": {
                "payment_initiator": "MERCHANT",
                "usage": "SUBSEQUENT",
                "usage_pattern": "SUBSCRIPTION_PREPAID",
            },
            "experience_context": { "return_url": order.return_url, "cancel_url": order.return_url },
        } },
    });
    let key = order.key.idempotency_key();
    match client.post(&["v2", "checkout", "orders"], &body, Some(&key)).await {
        Ok(made) => go_on(client, made).await,
        Err(Failure::Refused(refusal)) => refused(client, order, *refusal).await,
        Err(failure) => Err(failure.into()),
    }
}

/// What became of a charge of ours: by its id, else by the report of transactions.
pub(super) async fn look_up(
    client: &Client,
    order: &ChargeOrder<'_>,
) -> Result<Option<Charge>, PaymentError> {
    let own = order.key.idempotency_key();
    if let Some(reference) = order.reference.filter(|reference| *reference != own) {
        return current(client, reference).await.map(|found| found.map(|(charge, _)| charge));
    }
    let from = order.begun_at.saturating_sub(CLOCKS_APART).unwrap_or(order.begun_at);
    let to = order.begun_at.saturating_add(LOOKED_FOR).unwrap_or(order.begun_at);
    let key = order.key.to_string();
    for transaction in transactions(client, from, to).await? {
        if transaction.is_payment() && transaction.custom_field.as_deref() == Some(&key) {
            return current(client, &transaction.transaction_id)
                .await
                .map(|found| found.map(|(charge, _)| charge));
        }
    }
    Ok(None)
}

/// A charge as it is now, and the text that says whose it is.
async fn current(
    client: &Client,
    reference: &str,
) -> Result<Option<(Charge, Option<domain::payment::ChargeKey>)>, PaymentError> {
    if let Some(id) = order_of(reference) {
        let order: Option<Order> = found(client.get(&["v2", "checkout", "orders", id], &[]).await)?;
        let Some(order) = order else { return Ok(None) };
        let key = order.key();
        return Ok(Some((go_on(client, order).await?, key)));
    }
    let capture: Option<Capture> =
        found(client.get(&["v2", "payments", "captures", reference], &[]).await)?;
    let Some(capture) = capture else { return Ok(None) };
    let key = capture.key();
    Ok(Some((capture.into_charge()?, key)))
}

/// What is known of a charge now. An order that its payer has agreed to is captured by that: nobody else will.
pub(super) async fn read(client: &Client, reference: &str) -> Result<Option<Fact>, PaymentError> {
    let Some((charge, key)) = current(client, reference).await? else { return Ok(None) };
    Ok(key.map(|key| Fact::Charge(key, charge)))
}

/// Takes the money of an order of ours that its payer has agreed to.
async fn go_on(client: &Client, order: Order) -> Result<Charge, PaymentError> {
    // Somebody else's order of the same account is somebody else's to capture.
    if !order.waits_for_us() || order.key().is_none() {
        return order.into_charge();
    }
    let key = format!("{}:capture", order.id);
    let path = ["v2", "checkout", "orders", order.id.as_str(), "capture"];
    match client.post::<Order>(&path, &json!({}), Some(&key)).await {
        Ok(captured) => captured.into_charge(),
        Err(Failure::Refused(refusal)) => {
            let code = refusal.code();
            let mut charge = match order_again(client, &order.id).await? {
                Some(again) => again.into_charge()?,
                None => order.into_charge()?,
            };
            if charge.state == ChargeState::Processing
                && let Some(decline) = decline_of(&code)
            {
                charge.state = ChargeState::Declined(decline);
            }
            Ok(charge)
        }
        Err(failure) => Err(failure.into()),
    }
}

async fn order_again(client: &Client, id: &str) -> Result<Option<Order>, PaymentError> {
    found(client.get(&["v2", "checkout", "orders", id], &[]).await)
}

/// Withdraws an order. `PayPal` knows no such thing; but money moves only when we capture it, and we capture only
/// what carries our key. So the key is taken off.
pub(super) async fn cancel(client: &Client, reference: &str) -> Result<Charge, PaymentError> {
    let gone = || PaymentError::Unsupported("PayPal knows no such charge any more");
    if let Some(id) = order_of(reference) {
        let patch = json!([{
            "op": "replace",
            "path": "/purchase_units/@reference_id=='default'/custom_id",
            "value": WITHDRAWN,
        }]);
        match client.patch(&["v2", "checkout", "orders", id], &patch).await {
            // It is completed: as it is.
            Ok(()) => {}
            Err(Failure::Refused(refusal))
                if refusal.status == StatusCode::UNPROCESSABLE_ENTITY => {}
            Err(failure) => return Err(failure.into()),
        }
        let order = order_again(client, id).await?.ok_or_else(gone)?;
        return order.into_charge();
    }
    current(client, reference).await?.map(|(charge, _)| charge).ok_or_else(gone)
}

/// A refusal: of the payer, which is what became of the charge, or of the call.
async fn refused(
    client: &Client,
    order: &ChargeOrder<'_>,
    refusal: Refusal,
) -> Result<Charge, PaymentError> {
    let code = refusal.code();
    if code == "PAYER_ACTION_REQUIRED" {
        let url = refusal.link("payer-action");
        // The address names the order: the last part of its query or path.
        let id = url.as_deref().and_then(|url| url.rsplit(['=', '/']).next());
        let reference = id.map_or_else(|| order.key.idempotency_key(), order_reference);
        let state = ChargeState::ActionRequired { url };
        return Ok(Charge { reference, amount: order.amount, state });
    }
    if code == "DUPLICATE_INVOICE_ID" {
        // This very attempt has gone through, longer ago than its request is remembered.
        let before = look_up(client, order).await?;
        let late = || PaymentError::Unavailable("charged before, and not in the report yet".into());
        return before.ok_or_else(late);
    }
    match decline_of(&code) {
        Some(decline) => Ok(declined(order, decline)),
        None => Err(refusal.into_error()),
    }
}

/// A refusal of which `PayPal` keeps no order: it is known by our key.
fn declined(order: &ChargeOrder<'_>, decline: Decline) -> Charge {
    Charge {
        reference: order.key.idempotency_key(),
        amount: order.amount,
        state: ChargeState::Declined(decline),
    }
}

/// Whether something began in `[from, to)`.
pub(super) fn is_within(at: Timestamp, from: Timestamp, to: Timestamp) -> bool {
    from <= at && at < to
}
