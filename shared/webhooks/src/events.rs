//! The catalogue: every event that tenants can be told of. A new one is a type in the file of its group, and a line
//! here. What an event says is part of the API: fields are added, never changed or taken away.

pub mod billing;
pub mod edge;
pub mod endpoint;
pub mod message;
pub mod tenant;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// What an event says, as a type.
pub trait Event: Serialize + ToSchema {
    /// Its name.
    const TYPE: &'static str;
    /// When it happens, in a sentence.
    const SUMMARY: &'static str;

    /// Events of one key follow from each other: the id of what it is about.
    fn ordering_key(&self) -> String;

    /// One as it might be, for the documentation.
    fn example() -> Self;
}

/// An event of the catalogue.
#[derive(Clone, Copy)]
pub struct EventKind {
    /// Its name.
    pub name: &'static str,
    /// When it happens.
    pub summary: &'static str,
    /// The schema of its `data`.
    pub schema: fn() -> RefOr<Schema>,
    /// Adds the schemas that it refers to.
    pub schemas: fn(&mut Vec<(String, RefOr<Schema>)>),
    /// Its `data`, as it might be.
    pub example: fn() -> Value,
}

impl EventKind {
    const fn of<E: Event>() -> Self {
        Self {
            name: E::TYPE,
            summary: E::SUMMARY,
            schema: || <E as PartialSchema>::schema(),
            schemas: |found| <E as ToSchema>::schemas(found),
            example: || serde_json::to_value(E::example()).unwrap_or_default(),
        }
    }

    /// What comes before the first dot.
    #[must_use]
    pub fn group(&self) -> &'static str {
        self.name.split('.').next().unwrap_or(self.name)
    }
}

macro_rules! catalogue {
    ($($event:path,)*) => {
        /// Every event.
        pub const CATALOGUE: &[EventKind] = &[$(EventKind::of::<$event>(),)*];
    };
}

catalogue! {
    tenant::TenantUpdated,
    tenant::TenantClosed,
    tenant::UserInvited,
    tenant::UserJoined,
    tenant::UserUpdated,
    tenant::UserRemoved,
    tenant::ApiKeyCreated,
    tenant::ApiKeyRevoked,
    billing::SubscriptionCreated,
    billing::SubscriptionUpdated,
    billing::SubscriptionTrialEnding,
    billing::SubscriptionCanceled,
    billing::InvoiceFinalized,
    billing::InvoicePaid,
    billing::InvoicePaymentFailed,
    billing::InvoiceVoided,
    billing::PaymentSucceeded,
    billing::PaymentFailed,
    billing::PaymentRefunded,
    billing::UsageThresholdReached,
    edge::DomainVerified,
    edge::DomainFailed,
    edge::DomainCertificateRenewed,
    edge::IpAllowlistUpdated,
    edge::CredentialAbuseSuspected,
    edge::OwnershipChanged,
    message::MessageSent,
    message::MessageDelivered,
    message::MessageRead,
    message::MessageFailed,
    message::MessageReceived,
    endpoint::EndpointFailing,
    endpoint::EndpointDisabled,
    endpoint::EndpointTest,
}

/// An amount of money.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Amount {
    /// Minor units of the currency: cents for USD.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
}

/// The instant of the examples.
fn example_instant() -> String {
    Timestamp::constant(1_795_608_000, 0).to_string()
}

/// An id of the examples.
fn example_id(prefix: &str) -> String {
    format!("{prefix}_01h455vb4pex5vsknk084sn02q")
}

/// Declares events that say the same things: what happened to an entity.
macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $summary:literal, $data:ty { key: $key:ident, example: $example:expr };)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub $data);

        impl crate::events::Event for $name {
            const TYPE: &'static str = $text;
            const SUMMARY: &'static str = $summary;

            fn ordering_key(&self) -> String {
                self.0.$key.clone()
            }

            fn example() -> Self {
                Self($example)
            }
        }
    )*};
}

pub(crate) use events;

#[cfg(test)]
mod tests;
