//! Webhooks of Stripe: `Stripe-Signature: t=<seconds>,v1=<hex>,…` over `<seconds>.<body>` (docs.stripe.com/webhooks).

use domain::secret::Secret;
use serde::Deserialize;

use crate::error::WebhookError;
use crate::provider::{About, Incoming, Notice};
use crate::signature;

const HEADER: &str = "stripe-signature";
/// How far the signature's time may be from ours, as in the official libraries.
const TOLERANCE_SECONDS: u64 = 300;

/// A genuine event's content.
pub(super) fn parse(
    secrets: &[Secret<String>],
    incoming: &Incoming<'_>,
) -> Result<Notice, WebhookError> {
    let header = incoming.headers.get(HEADER).and_then(|value| value.to_str().ok());
    let at = verify(secrets, header.unwrap_or_default(), incoming.body)
        .ok_or(WebhookError::Signature)?;
    // Asked last: who cannot sign learns nothing of our clock.
    if at.abs_diff(incoming.now.as_second()) > TOLERANCE_SECONDS {
        return Err(WebhookError::Stale);
    }
    let event: Event = serde_json::from_slice(incoming.body)
        .map_err(|error| WebhookError::Malformed(format!("{:?}", error.classify())))?;
    let about = event.about();
    Ok(Notice { event_id: event.id, kind: event.kind, about })
}

/// When it was signed, if it was by one of the secrets. A header has a signature by each that is in force.
fn verify(secrets: &[Secret<String>], header: &str, body: &[u8]) -> Option<i64> {
    let fields = || header.split(',').filter_map(|field| field.trim().split_once('='));
    let (_, at) = fields().find(|(name, _)| *name == "t")?;
    // As it is written, for it is signed so.
    let signed: [&[u8]; 3] = [at.as_bytes(), b".", body];
    let mut signatures = fields().filter(|(name, _)| *name == "v1").map(|(_, hex)| hex);
    let genuine =
        signatures.any(|hex| secrets.iter().any(|secret| signature::matches(secret, &signed, hex)));
    if genuine { at.parse().ok() } else { None }
}

#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    object: String,
    id: Option<String>,
    payment_intent: Option<String>,
    payment_method: Option<String>,
}

impl Event {
    /// By what the object is, so that a new event about it is understood too.
    fn about(&self) -> About {
        let object = &self.data.object;
        let (about, id): (fn(String) -> About, _) = match object.object.as_str() {
            "payment_intent" => (About::Charge, &object.id),
            "charge" => (About::Charge, &object.payment_intent),
            "refund" => (About::Refund, &object.id),
            "dispute" => (About::Dispute, &object.id),
            "payment_method" => (About::Method, &object.id),
            "setup_intent" => (About::Method, &object.payment_method),
            _ => return About::Nothing,
        };
        id.clone().map_or(About::Nothing, about)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "whsec_test";
    const AT: i64 = 1_700_000_000;
    const BODY: &[u8] = br#"{"id":"evt_1"}"#;
    const V1: &str = "c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925";

    fn secrets(all: &[&str]) -> Vec<Secret<String>> {
        all.iter().map(|secret| Secret::new((*secret).to_owned())).collect()
    }

    fn sign(secret: &str, at: &str, body: &[u8]) -> String {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        let tag = ring::hmac::sign(&key, &[at.as_bytes(), b".", body].concat());
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn receive(header: &str, body: &[u8], now: i64) -> Result<Notice, WebhookError> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, header.parse().unwrap());
        let now = Timestamp::from_second(now).unwrap();
        parse(&secrets(&[SECRET]), &Incoming { headers: &headers, body, now })
    }

    #[test]
    fn the_known_vector() {
        let known = secrets(&[SECRET]);
        assert_eq!(verify(&known, &format!("t={AT},v1={V1}"), BODY), Some(AT));
        assert_eq!(verify(&known, &format!("v0=00, v1=00 ,t={AT}, v1={V1}"), BODY), Some(AT));
        assert_eq!(
            verify(&secrets(&["whsec_old", SECRET]), &format!("t={AT},v1={V1}"), BODY),
            Some(AT)
        );
        for header in [
            String::new(),
            format!("t={AT}"),
            format!("v1={V1}"),
            format!("t={AT},v0={V1}"),
            format!("t=0{AT},v1={V1}"),
            format!("t={},v1={V1}", AT + 1),
            format!("t={AT},v1={}", &V1[..62]),
        ] {
            assert_eq!(verify(&known, &header, BODY), None, "{header}");
        }
        assert_eq!(verify(&secrets(&["whsec_other"]), &format!("t={AT},v1={V1}"), BODY), None);
        assert_eq!(verify(&[], &format!("t={AT},v1={V1}"), BODY), None);
    }

    #[test]
    fn what_is_old_or_of_the_future_is_a_replay() {
        let header = format!("t={AT},v1={V1}");
        for (now, expected) in [
            (AT + 301, WebhookError::Stale),
            (AT - 301, WebhookError::Stale),
            // In time, and not an event.
            (AT + 300, WebhookError::Malformed("Data".into())),
            (AT - 300, WebhookError::Malformed("Data".into())),
        ] {
            assert_eq!(receive(&header, BODY, now), Err(expected), "{now}");
        }
        let forged = format!("t={AT},v1={}", V1.replace('c', "d"));
        assert_eq!(receive(&forged, BODY, AT + 301), Err(WebhookError::Signature));
        let none = Incoming { headers: &HeaderMap::new(), body: BODY, now: Timestamp::UNIX_EPOCH };
        assert_eq!(parse(&secrets(&[SECRET]), &none), Err(WebhookError::Signature));
    }

    #[test]
    fn an_event_says_what_it_is_about() {
        let about = |object: &str| {
            let body = format!(r#"{{"id":"evt_1","type":"x.y","data":{{"object":{object}}}}}"#);
            let at = AT.to_string();
            let header = format!("t={at},v1={}", sign(SECRET, &at, body.as_bytes()));
            receive(&header, body.as_bytes(), AT).unwrap().about
        };
        let id = || "x_1".to_owned();
        assert_eq!(about(r#"{"object":"payment_intent","id":"x_1"}"#), About::Charge(id()));
        assert_eq!(
            about(r#"{"object":"charge","id":"ch","payment_intent":"x_1"}"#),
            About::Charge(id())
        );
        assert_eq!(about(r#"{"object":"charge","id":"ch","payment_intent":null}"#), About::Nothing);
        assert_eq!(about(r#"{"object":"refund","id":"x_1"}"#), About::Refund(id()));
        assert_eq!(about(r#"{"object":"dispute","id":"x_1"}"#), About::Dispute(id()));
        assert_eq!(about(r#"{"object":"payment_method","id":"x_1"}"#), About::Method(id()));
        assert_eq!(
            about(r#"{"object":"setup_intent","id":"s","payment_method":"x_1"}"#),
            About::Method(id())
        );
        assert_eq!(about(r#"{"object":"payout","id":"po"}"#), About::Nothing);
        assert_eq!(about("{}"), About::Nothing);
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies_and_nothing_else_does(
            secret in "whsec_[a-z]{1,20}", body: Vec<u8>, at in 0..4_000_000_000_i64,
        ) {
            let text = at.to_string();
            let header = format!("t={text},v1={}", sign(&secret, &text, &body));
            prop_assert_eq!(verify(&secrets(&[&secret]), &header, &body), Some(at));
            let longer = [&body[..], b"x"].concat();
            prop_assert_eq!(verify(&secrets(&[&secret]), &header, &longer), None);
            prop_assert_eq!(verify(&secrets(&[&format!("{secret}x")]), &header, &body), None);
        }

        #[test]
        fn any_header_and_body_are_looked_at_without_panic(header in "[ -~]{0,120}", body: Vec<u8>, now in 0..4_000_000_000_i64) {
            prop_assert!(receive(&header, &body, now).is_err());
        }

        #[test]
        fn any_signed_body_is_read_without_panic(body: Vec<u8>) {
            let at = AT.to_string();
            let header = format!("t={at},v1={}", sign(SECRET, &at, &body));
            prop_assert!(matches!(receive(&header, &body, AT), Err(WebhookError::Malformed(_))));
        }
    }
}
