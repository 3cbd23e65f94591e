//! Charges: a payment intent an attempt, without its customer.

use domain::payment::{Charge, ChargeState, Decline};
use http::StatusCode;
use jiff::Timestamp;

use super::amount_text;
use super::client::{Client, Failure, Form};
use super::methods::parts;
use super::objects::{Intent, OURS, Refusal};
use crate::call::{Refusal as _, found};
use crate::error::PaymentError;
use crate::provider::{ChargeOrder, Fact};

/// How far Stripe's clock may be from ours.
const CLOCKS_APART: i64 = 3600;

/// A charge of ours, made once.
pub(super) async fn charge(
    client: &Client,
    order: &ChargeOrder<'_>,
) -> Result<Charge, PaymentError> {
    let (customer, method) = parts(order.method)?;
    let metadata = format!("metadata[{OURS}]");
    let form: Form<'_> = vec![
        ("amount", amount_text(order.amount)?),
        ("currency", order.amount.currency.as_str().to_ascii_lowercase()),
        ("customer", customer.to_owned()),
        ("payment_method", method.to_owned()),
        ("payment_method_types[0]", "card".to_owned()),
        ("off_session", "true".to_owned()),
        ("confirm", "true".to_owned()),
        ("description", order.description.to_owned()),
        (&metadata, order.key.to_string()),
    ];
    let key = order.key.idempotency_key();
    match client.post(&["payment_intents"], &form, Some(&key)).await {
        Ok(intent) => go_on(client, order, intent).await,
        Err(Failure::Refused(refusal)) => refused(client, order, *refusal).await,
        Err(failure) => Err(failure.into()),
    }
}

/// What became of a charge of ours. Without its id it is looked for in the list of its customer's charges: the search
/// by metadata may not know for a minute what was just made, and in a minute it would be made twice.
pub(super) async fn look_up(
    client: &Client,
    order: &ChargeOrder<'_>,
) -> Result<Option<Charge>, PaymentError> {
    let intent = match order.reference.filter(|reference| reference.starts_with("pi_")) {
        Some(id) => found(client.get(&["payment_intents", id], &[]).await)?,
        None => find(client, order).await?,
    };
    match intent {
        Some(intent) => go_on(client, order, intent).await.map(Some),
        None => Ok(None),
    }
}

async fn find(client: &Client, order: &ChargeOrder<'_>) -> Result<Option<Intent>, PaymentError> {
    let (customer, _) = parts(order.method)?;
    let from = since(order.begun_at);
    let query = [("customer", customer), ("created[gte]", from.as_str())];
    let intents: Vec<Intent> = client.list(&["payment_intents"], &query).await?;
    Ok(intents.into_iter().find(|intent| intent.key() == Some(order.key)))
}

/// From when on what began at `begun_at` is looked for, in Stripe's form.
pub(super) fn since(begun_at: Timestamp) -> String {
    begun_at.as_second().saturating_sub(CLOCKS_APART).to_string()
}

/// Withdraws a charge. What cannot be withdrawn any more is answered as it is.
pub(super) async fn cancel(client: &Client, id: &str) -> Result<Charge, PaymentError> {
    let canceled = client.post(&["payment_intents", id, "cancel"], &Vec::new(), None).await;
    let intent: Intent = match canceled {
        Ok(intent) => intent,
        Err(Failure::Refused(refusal)) if refusal.status == StatusCode::BAD_REQUEST => {
            client.get(&["payment_intents", id], &[]).await?
        }
        Err(failure) => return Err(failure.into()),
    };
    intent.into_charge()
}

/// What is known of a charge now.
pub(super) async fn read(client: &Client, id: &str) -> Result<Option<Fact>, PaymentError> {
    let intent: Option<Intent> = found(client.get(&["payment_intents", id], &[]).await)?;
    let Some(intent) = intent else { return Ok(None) };
    let Some(key) = intent.key() else { return Ok(None) };
    Ok(Some(Fact::Charge(key, intent.into_charge()?)))
}

/// A charge that waits for us goes on. Where the bank wants to hear it from the customer, it is confirmed a second
/// time, on-session, which yields the address at which the customer does so (an off-session charge has none). And one
/// that was made and never confirmed, because the call broke off in between, is confirmed now.
async fn go_on(
    client: &Client,
    order: &ChargeOrder<'_>,
    intent: Intent,
) -> Result<Charge, PaymentError> {
    let (_, method) = parts(order.method)?;
    let mut form: Form<'_> = vec![("payment_method", method.to_owned())];
    let purpose = if intent.needs_customer() {
        form.push(("return_url", order.return_url.to_owned()));
        "customer"
    } else if intent.status == "requires_confirmation" {
        form.push(("off_session", "true".to_owned()));
        "confirm"
    } else {
        return intent.into_charge();
    };
    let key = format!("{}:{purpose}", order.key.idempotency_key());
    let path = ["payment_intents", intent.id.as_str(), "confirm"];
    match client.post::<Intent>(&path, &form, Some(&key)).await {
        Ok(confirmed) => confirmed.into_charge(),
        Err(Failure::Refused(mut refusal)) => match refusal.payment_intent.take() {
            Some(after) => after.into_charge(),
            // Somebody was faster; or Stripe refuses, and the charge is what it was.
            None => client.get::<Intent>(&path[..2], &[]).await?.into_charge(),
        },
        Err(failure) => Err(failure.into()),
    }
}

/// A refusal: of the card, which is what became of the charge, or of the call.
async fn refused(
    client: &Client,
    order: &ChargeOrder<'_>,
    mut refusal: Refusal,
) -> Result<Charge, PaymentError> {
    if let Some(mut intent) = refusal.payment_intent.take() {
        intent.last_payment_error.get_or_insert(refusal);
        return go_on(client, order, *intent).await;
    }
    let is_of_the_card = refusal.status == StatusCode::PAYMENT_REQUIRED || is_gone(&refusal);
    if is_of_the_card {
        return Ok(declined(order, refusal.decline()));
    }
    Err(refusal.into_error())
}

/// The way to pay, or its customer, is not there any more.
fn is_gone(refusal: &Refusal) -> bool {
    refusal.code.as_deref() == Some("resource_missing")
        && matches!(refusal.param.as_deref(), Some("payment_method" | "customer"))
}

/// A refusal of which Stripe keeps no charge: it is known by our key.
fn declined(order: &ChargeOrder<'_>, decline: Decline) -> Charge {
    Charge {
        reference: order.key.idempotency_key(),
        amount: order.amount,
        state: ChargeState::Declined(decline),
    }
}
