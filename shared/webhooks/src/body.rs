//! The bytes of a message, the same at each attempt: they are what is signed.

use jiff::Timestamp;
use serde::Serialize;

use crate::event_type::EventType;

/// Largest body, in bytes. Standard Webhooks recommends less than 20 kB; receivers often take no more than 64 KiB.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Longer than [`BODY_BYTES_MAX`].
    #[error(
        "must come to at most {BODY_BYTES_MAX} bytes as a message; send ids instead of what they stand for"
    )]
    TooLarge,
    /// The data has no JSON form: a fault of ours.
    #[error("has no JSON form")]
    Unserializable(#[from] serde_json::Error),
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    r#type: &'a str,
    timestamp: String,
    data: &'a T,
}

/// `{"type": …, "timestamp": …, "data": …}`, in this order (Standard Webhooks 1.0, "Payload structure").
///
/// # Errors
/// When it is too large.
pub fn body(
    event_type: &EventType,
    timestamp: Timestamp,
    data: &impl Serialize,
) -> Result<Vec<u8>, BodyError> {
    let timestamp = timestamp.to_string();
    let bytes = serde_json::to_vec(&Envelope { r#type: event_type.as_str(), timestamp, data })?;
    if bytes.len() > BODY_BYTES_MAX { Err(BodyError::TooLarge) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_says_what_when_and_about_what() {
        let event_type: EventType = "invoice.paid".parse().unwrap();
        let bytes = body(&event_type, Timestamp::UNIX_EPOCH, &json!({"id": 1})).unwrap();
        let expected =
            r#"{"type":"invoice.paid","timestamp":"1970-01-01T00:00:00Z","data":{"id":1}}"#;
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), expected);
        let much = json!("x".repeat(BODY_BYTES_MAX));
        let refused = body(&event_type, Timestamp::UNIX_EPOCH, &much).unwrap_err();
        assert!(matches!(refused, BodyError::TooLarge));
    }
}
