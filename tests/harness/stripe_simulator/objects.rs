//! What a Stripe keeps, and how it shows it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub(super) type Metadata = BTreeMap<String, String>;

/// How a card behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Card {
    /// It pays.
    Pays,
    /// It has no money so many times, and then pays.
    PaysAfter(u32),
    /// It is lost.
    Lost,
    /// Its bank wants to hear it from its owner.
    Asks,
    /// It takes days.
    TakesDays,
}

#[derive(Debug)]
pub(super) struct Method {
    pub(super) card: Card,
    pub(super) customer: Option<String>,
    pub(super) metadata: Metadata,
}

impl Method {
    pub(super) fn shown(&self, id: &str) -> Value {
        json!({
            "object": "payment_method", "id": id, "type": "card", "customer": self.customer,
            "metadata": self.metadata,
            "card": { "brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2031 },
        })
    }
}

/// Where a charge is, as Stripe says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    NeedsMethod,
    NeedsAction,
    Processing,
    Succeeded,
    Canceled,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::NeedsMethod => "requires_payment_method",
            Self::NeedsAction => "requires_action",
            Self::Processing => "processing",
            Self::Succeeded => "succeeded",
            Self::Canceled => "canceled",
        }
    }
}

#[derive(Debug)]
pub(super) struct Intent {
    pub(super) id: String,
    pub(super) customer: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) metadata: Metadata,
    pub(super) status: Status,
    pub(super) error: Option<Value>,
    pub(super) created: i64,
    /// How often money was taken: once at most.
    pub(super) captures: u32,
}

impl Intent {
    pub(super) fn shown(&self) -> Value {
        let received = if self.status == Status::Succeeded { self.amount } else { 0 };
        let action = (self.status == Status::NeedsAction).then(|| {
            json!({
                "type": "redirect_to_url",
                "redirect_to_url": { "url": format!("https://hooks.example/3ds/{}", self.id) },
            })
        });
        json!({
            "object": "payment_intent", "id": self.id, "amount": self.amount, "amount_received": received,
            "currency": self.currency, "customer": self.customer, "status": self.status.as_str(),
            "metadata": self.metadata, "next_action": action, "last_payment_error": self.error,
            "created": self.created,
        })
    }

    /// Whose it is.
    pub(super) fn is_of(&self, tenant: &str) -> bool {
        self.metadata.get("pytake").is_some_and(|key| key.split('/').next() == Some(tenant))
    }
}

#[derive(Debug)]
pub(super) struct Refund {
    pub(super) id: String,
    pub(super) intent: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) status: &'static str,
    pub(super) metadata: Metadata,
    pub(super) created: i64,
}

impl Refund {
    pub(super) fn shown(&self) -> Value {
        json!({
            "object": "refund", "id": self.id, "payment_intent": self.intent, "amount": self.amount,
            "currency": self.currency, "status": self.status, "metadata": self.metadata, "created": self.created,
        })
    }
}

#[derive(Debug)]
pub(super) struct Dispute {
    pub(super) id: String,
    pub(super) intent: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) status: &'static str,
    pub(super) created: i64,
}

impl Dispute {
    /// `intent`: the charge, where it was asked for.
    pub(super) fn shown(&self, intent: Option<Value>) -> Value {
        json!({
            "object": "dispute", "id": self.id, "payment_intent": intent.unwrap_or_else(|| self.intent.clone().into()),
            "amount": self.amount, "currency": self.currency, "status": self.status, "reason": "fraudulent",
            "created": self.created,
        })
    }
}
