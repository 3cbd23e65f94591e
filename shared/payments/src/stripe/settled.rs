//! All money that moved, for reconciliation. What is not of ours is told too: nobody else should move any.

use domain::payment::{DisputeState, RefundState};
use jiff::Timestamp;

use super::client::Client;
use super::objects::{DisputeObject, Intent, RefundObject};
use crate::error::PaymentError;
use crate::provider::{Settled, SettledKind};

pub(super) async fn settled(
    client: &Client,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Settled>, PaymentError> {
    // Stripe counts seconds: what began within one is asked for with it, and sorted out below.
    let (gte, lte) = (from.as_second().to_string(), to.as_second().to_string());
    let created = [("created[gte]", gte.as_str()), ("created[lte]", lte.as_str())];
    let mut all = Vec::new();
    for intent in client.list::<Intent>(&["payment_intents"], &created).await? {
        if intent.has_succeeded() {
            all.push(Settled {
                kind: SettledKind::Payment,
                key: intent.key().map(|key| key.to_string()),
                amount: intent.amount()?,
                at: intent.created()?,
                reference: intent.id,
            });
        }
    }
    for refund in client.list::<RefundObject>(&["refunds"], &created).await? {
        let (key, at) = (refund.key().map(|key| key.to_string()), refund.created()?);
        let refund = refund.into_refund()?;
        // While it is on its way it has left the balance already.
        if refund.state != RefundState::Failed {
            let (reference, amount) = (refund.reference, refund.amount);
            all.push(Settled { kind: SettledKind::Refund, reference, key, amount, at });
        }
    }
    let query = [&created[..], &[("expand[0]", "data.payment_intent")]].concat();
    for dispute in client.list::<DisputeObject>(&["disputes"], &query).await? {
        let key = dispute.key().map(|key| key.to_string());
        let dispute = dispute.into_dispute()?;
        if let Some(dispute) = dispute.filter(|dispute| dispute.state != DisputeState::Won) {
            let (reference, amount, at) = (dispute.reference, dispute.amount, dispute.opened_at);
            all.push(Settled { kind: SettledKind::Dispute, reference, key, amount, at });
        }
    }
    all.retain(|settled| from <= settled.at && settled.at < to);
    Ok(all)
}
