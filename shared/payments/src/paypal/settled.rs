//! All money that moved, for reconciliation: by the report of transactions, which is some hours behind, and the list
//! of disputes.

use domain::payment::{DisputeState, RefundKey};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::charges::is_within;
use super::client::Client;
use super::disputes;
use super::objects::Value;
use crate::error::PaymentError;
use crate::provider::{Settled, SettledKind};

/// The longest time that one report may be about.
const REPORT: SignedDuration = SignedDuration::from_hours(24 * 31);
/// Entries a page, so that a page stays well below what is read of an answer.
const PAGE_ENTRIES: &str = "100";
/// The report's code for a refund by the merchant.
const REFUND: &str = "T1107";
/// The report's codes for payments begin so.
const PAYMENT: &str = "T00";

#[derive(Debug, Deserialize)]
struct Report {
    #[serde(default)]
    transaction_details: Vec<Entry>,
    #[serde(default)]
    total_pages: u32,
}

#[derive(Debug, Deserialize)]
struct Entry {
    transaction_info: Transaction,
}

/// An entry of the report.
#[derive(Debug, Deserialize)]
pub(super) struct Transaction {
    pub(super) transaction_id: String,
    #[serde(default)]
    transaction_event_code: String,
    transaction_initiation_date: String,
    transaction_amount: Value,
    #[serde(default)]
    transaction_status: String,
    pub(super) custom_field: Option<String>,
}

impl Transaction {
    /// Money that came in; what went out is negative.
    pub(super) fn is_payment(&self) -> bool {
        self.transaction_event_code.starts_with(PAYMENT)
            && !self.transaction_amount.value.starts_with('-')
    }

    fn is_refund(&self) -> bool {
        self.transaction_event_code == REFUND
    }

    fn has_moved(&self) -> bool {
        // `S`: done. A refund that is pending (`P`) has left the balance.
        self.transaction_status == "S" || (self.is_refund() && self.transaction_status == "P")
    }

    fn into_settled(self) -> Result<Option<Settled>, PaymentError> {
        let kind = match () {
            () if !self.has_moved() => return Ok(None),
            () if self.is_payment() => SettledKind::Payment,
            () if self.is_refund() => SettledKind::Refund,
            () => return Ok(None),
        };
        let is_ours = |text: &String| match kind {
            // A refund may name the payment's key instead of its own.
            SettledKind::Refund => text.parse::<RefundKey>().is_ok(),
            _ => true,
        };
        let value = self.transaction_amount.value.trim_start_matches('-').to_owned();
        Ok(Some(Settled {
            kind,
            key: self.custom_field.filter(is_ours),
            amount: Value { value, ..self.transaction_amount }.money()?,
            at: time(&self.transaction_initiation_date)?,
            reference: self.transaction_id,
        }))
    }
}

/// A time as the report has it: ISO 8601, whose zone has no colon.
fn time(text: &str) -> Result<Timestamp, PaymentError> {
    let parsed = text.parse().or_else(|_| Timestamp::strptime("%Y-%m-%dT%H:%M:%S%z", text));
    parsed.map_err(|_| PaymentError::Unavailable("its answer holds no time".to_owned()))
}

/// The report's entries of what began in `[from, to)`.
pub(super) async fn transactions(
    client: &Client,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Transaction>, PaymentError> {
    let mut all = Vec::new();
    let mut start = from;
    while start < to {
        let end = start.saturating_add(REPORT).unwrap_or(to).min(to);
        let (start_text, end_text) = (start.to_string(), end.to_string());
        let mut page: u32 = 1;
        loop {
            let page_text = page.to_string();
            let query = [
                ("start_date", start_text.as_str()),
                ("end_date", end_text.as_str()),
                ("fields", "transaction_info"),
                ("page_size", PAGE_ENTRIES),
                ("page", page_text.as_str()),
            ];
            let report: Report = client.get(&["v1", "reporting", "transactions"], &query).await?;
            let is_last = report.transaction_details.is_empty() || page >= report.total_pages;
            all.extend(report.transaction_details.into_iter().map(|entry| entry.transaction_info));
            if is_last {
                break;
            }
            page += 1;
        }
        start = end;
    }
    Ok(all)
}

#[derive(Debug, Deserialize)]
struct Disputes {
    #[serde(default)]
    items: Vec<Item>,
    #[serde(default)]
    links: Vec<super::objects::Link>,
}

#[derive(Debug, Deserialize)]
struct Item {
    dispute_id: String,
}

/// All that moved by what began in `[from, to)`.
pub(super) async fn settled(
    client: &Client,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Settled>, PaymentError> {
    let mut all = Vec::new();
    for transaction in transactions(client, from, to).await? {
        all.extend(transaction.into_settled()?);
    }
    for id in dispute_ids(client, from).await? {
        let Some((key, dispute)) = disputes::get(client, &id).await? else { continue };
        if dispute.state != DisputeState::Won {
            all.push(Settled {
                kind: SettledKind::Dispute,
                reference: dispute.reference,
                key: key.map(|key| key.to_string()),
                amount: dispute.amount,
                at: dispute.opened_at,
            });
        }
    }
    all.retain(|settled| is_within(settled.at, from, to));
    Ok(all)
}

/// Disputes that began at `from` or later; the next page is named by a link, of which its token is taken.
async fn dispute_ids(client: &Client, from: Timestamp) -> Result<Vec<String>, PaymentError> {
    let start = from.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
    let mut ids = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let mut query = vec![("start_time", start.as_str()), ("page_size", "50")];
        query.extend(next.as_deref().map(|token| ("next_page_token", token)));
        let page: Disputes = client.get(&["v1", "customer", "disputes"], &query).await?;
        let is_empty = page.items.is_empty();
        ids.extend(page.items.into_iter().map(|item| item.dispute_id));
        let token = super::objects::link(&page.links, "next").and_then(|url| {
            let url: url::Url = url.parse().ok()?;
            let token = url.query_pairs().find(|(name, _)| name == "next_page_token");
            token.map(|(_, token)| token.into_owned())
        });
        if is_empty || token.is_none() || token == next {
            return Ok(ids);
        }
        next = token;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_and_without_a_colon_in_their_zone() {
        let expected: Timestamp = "2026-04-01T10:00:00Z".parse().unwrap();
        for text in
            ["2026-04-01T10:00:00Z", "2026-04-01T12:00:00+0200", "2026-04-01T12:00:00+02:00"]
        {
            assert_eq!(time(text), Ok(expected), "{text}");
        }
        assert!(time("yesterday").is_err());
    }
}
