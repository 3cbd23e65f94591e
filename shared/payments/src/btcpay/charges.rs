//! Charges: an invoice of the server's an attempt.

use domain::payment::{Charge, ChargeState};
use jiff::Timestamp;
use serde_json::json;

use super::client::{Client, no_store};
use super::objects::Invoice;
use crate::decimal;
use crate::error::PaymentError;
use crate::provider::{ChargeOrder, Fact, Settled, SettledKind};

/// A charge of ours, made once: it is looked for first, for the server would make a second one.
pub(super) async fn charge(
    client: &Client,
    order: &ChargeOrder<'_>,
) -> Result<Charge, PaymentError> {
    if let Some(made) = look_up(client, order).await? {
        return Ok(made);
    }
    let amount = decimal::text(order.amount, order.amount.currency.minor_digits())
        .ok_or(PaymentError::Unsupported("BTCPay Server takes no such amount"))?;
    let body = json!({
        "amount": amount,
        "currency": order.amount.currency.as_str(),
        "metadata": { "orderId": order.key.to_string(), "itemDesc": order.description },
        "checkout": { "redirectURL": order.return_url },
    });
    let invoice: Option<Invoice> = client.post(&["invoices"], &body).await?;
    invoice.ok_or_else(no_store)?.into_charge()
}

/// What became of a charge of ours: by its id, else by the index of orders.
pub(super) async fn look_up(
    client: &Client,
    order: &ChargeOrder<'_>,
) -> Result<Option<Charge>, PaymentError> {
    let invoice = if let Some(id) = order.reference {
        get(client, id).await?
    } else {
        let key = order.key.to_string();
        let invoices: Vec<Invoice> =
            client.list(&["invoices"], &[("orderId", key.as_str())]).await?;
        // The oldest, should there be two after all: it is the one whose address was told first.
        invoices.into_iter().rfind(|invoice| invoice.key() == Some(order.key))
    };
    invoice.map(Invoice::into_charge).transpose()
}

async fn get(client: &Client, id: &str) -> Result<Option<Invoice>, PaymentError> {
    client.find_in_store(&["invoices", id], &[]).await
}

/// Withdraws a charge that nothing was paid of. What is paid, or on its way, is answered as it is.
pub(super) async fn cancel(client: &Client, id: &str) -> Result<Charge, PaymentError> {
    let gone = || PaymentError::Unsupported("BTCPay Server knows no such invoice any more");
    let charge = get(client, id).await?.ok_or_else(gone)?.into_charge()?;
    if !matches!(charge.state, ChargeState::ActionRequired { .. }) {
        return Ok(charge);
    }
    let body = json!({ "status": "Invalid" });
    let marked: Option<Invoice> = client.post(&["invoices", id, "status"], &body).await?;
    marked.ok_or_else(gone)?.into_charge()
}

/// What is known of a charge now.
pub(super) async fn read(client: &Client, id: &str) -> Result<Option<Fact>, PaymentError> {
    let Some(invoice) = get(client, id).await? else { return Ok(None) };
    let Some(key) = invoice.key() else { return Ok(None) };
    Ok(Some(Fact::Charge(key, invoice.into_charge()?)))
}

/// What came in by what began in `[from, to)`.
pub(super) async fn settled(
    client: &Client,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Settled>, PaymentError> {
    let (start, end) = (from.as_second().to_string(), to.as_second().to_string());
    let query = [("startDate", start.as_str()), ("endDate", end.as_str()), ("status", "Settled")];
    let mut all = Vec::new();
    for invoice in client.list::<Invoice>(&["invoices"], &query).await? {
        let (key, at) = (invoice.key().map(|key| key.to_string()), invoice.created()?);
        let Charge { reference, amount, state } = invoice.into_charge()?;
        if state == ChargeState::Succeeded && from <= at && at < to {
            all.push(Settled { kind: SettledKind::Payment, reference, key, amount, at });
        }
    }
    Ok(all)
}
