//! Payments that their payers dispute.

use domain::payment::{ChargeKey, Dispute, DisputeState};
use jiff::Timestamp;
use serde::Deserialize;

use super::client::Client;
use super::objects::{Capture, Value};
use crate::call::{found, short};
use crate::error::PaymentError;
use crate::provider::Fact;

#[derive(Debug, Deserialize)]
struct Transaction {
    seller_transaction_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Outcome {
    outcome_code: Option<String>,
}

#[derive(Debug, Deserialize)]
struct DisputeObject {
    dispute_id: String,
    create_time: Timestamp,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    status: String,
    dispute_amount: Value,
    dispute_outcome: Option<Outcome>,
    #[serde(default)]
    disputed_transactions: Vec<Transaction>,
}

/// What is known of a dispute now.
pub(super) async fn read(client: &Client, id: &str) -> Result<Option<Fact>, PaymentError> {
    let dispute = get(client, id).await?;
    Ok(dispute.and_then(|(key, dispute)| Some(Fact::Dispute(key?, dispute))))
}

/// A dispute, and the charge of ours that it is about.
pub(super) async fn get(
    client: &Client,
    id: &str,
) -> Result<Option<(Option<ChargeKey>, Dispute)>, PaymentError> {
    let path = ["v1", "customer", "disputes", id];
    let object: Option<DisputeObject> = found(client.get(&path, &[]).await)?;
    let Some(object) = object else { return Ok(None) };
    let mut transactions = object.disputed_transactions.iter();
    let Some(charge) =
        transactions.find_map(|transaction| transaction.seller_transaction_id.clone())
    else {
        return Ok(None);
    };
    let capture: Option<Capture> =
        found(client.get(&["v2", "payments", "captures", &charge], &[]).await)?;
    let outcome = object.dispute_outcome.and_then(|outcome| outcome.outcome_code);
    let dispute = Dispute {
        reference: object.dispute_id,
        charge_reference: charge,
        amount: object.dispute_amount.money()?,
        reason: short(&object.reason),
        opened_at: object.create_time,
        state: state(&object.status, outcome.as_deref()),
    };
    Ok(Some((capture.and_then(|capture| capture.key()), dispute)))
}

fn state(status: &str, outcome: Option<&str>) -> DisputeState {
    match (status, outcome) {
        ("RESOLVED", Some("RESOLVED_BUYER_FAVOUR" | "ACCEPTED")) => DisputeState::Lost,
        // Ours, withdrawn, or paid by PayPal itself.
        ("RESOLVED", _) => DisputeState::Won,
        _ => DisputeState::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dispute_is_open_until_it_is_resolved() {
        for open in ["OPEN", "WAITING_FOR_SELLER_RESPONSE", "UNDER_REVIEW", "OTHER", ""] {
            assert_eq!(state(open, None), DisputeState::Open, "{open}");
        }
        assert_eq!(state("RESOLVED", Some("RESOLVED_BUYER_FAVOUR")), DisputeState::Lost);
        assert_eq!(state("RESOLVED", Some("ACCEPTED")), DisputeState::Lost);
        for won in ["RESOLVED_SELLER_FAVOUR", "RESOLVED_WITH_PAYOUT", "CANCELED_BY_BUYER"] {
            assert_eq!(state("RESOLVED", Some(won)), DisputeState::Won, "{won}");
        }
    }
}
