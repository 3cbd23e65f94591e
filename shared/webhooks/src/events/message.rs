//! Events of messages: told by the operator's applications, which send and receive them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::event_type::EventType;
use crate::events::{events, example_id};

/// What begins the names of events that applications tell of.
const APPLICATION_PREFIX: &str = "message.";

/// A message. Applications may say more of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MessageData {
    /// The application's own id of the message.
    pub message_id: String,
    /// By what it went, such as `whatsapp`.
    pub channel: String,
    /// Why it failed, in a word.
    pub failure: Option<String>,
}

fn message(failure: Option<&str>) -> MessageData {
    MessageData {
        message_id: example_id("wamid"),
        channel: "whatsapp".to_owned(),
        failure: failure.map(str::to_owned),
    }
}

/// Whether applications may tell of such an event: those of the catalogue, and others of theirs that begin alike.
#[must_use]
pub fn application_may_tell(event_type: &EventType) -> bool {
    event_type.as_str().starts_with(APPLICATION_PREFIX)
}

events! {
    /// A message left.
    MessageSent = "message.sent", "A message was handed to its channel.", MessageData { key: message_id, example: message(None) };
    /// A message arrived.
    MessageDelivered = "message.delivered", "A message arrived at its recipient.", MessageData { key: message_id, example: message(None) };
    /// A message was read.
    MessageRead = "message.read", "A message was read.", MessageData { key: message_id, example: message(None) };
    /// A message did not arrive.
    MessageFailed = "message.failed", "A message could not be delivered.", MessageData { key: message_id, example: message(Some("unknown_recipient")) };
    /// A message came in.
    MessageReceived = "message.received", "A message came in.", MessageData { key: message_id, example: message(None) };
}
