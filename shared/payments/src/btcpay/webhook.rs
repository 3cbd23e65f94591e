//! Webhooks of the server: `BTCPay-Sig: sha256=<hex>` over the body. No time is signed, so what keeps a replay off is
//! that each delivery is known by its id, a repeated one by its first.

use domain::secret::Secret;
use serde::Deserialize;

use crate::error::WebhookError;
use crate::provider::{About, Incoming, Notice};
use crate::signature;

const HEADER: &str = "btcpay-sig";
const SCHEME: &str = "sha256=";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    delivery_id: String,
    original_delivery_id: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    store_id: Option<String>,
    invoice_id: Option<String>,
    pull_payment_id: Option<String>,
}

/// A genuine event's content.
pub(super) fn parse(
    secret: &Secret<String>,
    store_id: &str,
    incoming: &Incoming<'_>,
) -> Result<Notice, WebhookError> {
    let header = incoming.headers.get(HEADER).and_then(|value| value.to_str().ok());
    let hex = header.and_then(|text| text.strip_prefix(SCHEME)).ok_or(WebhookError::Signature)?;
    if !signature::matches(secret, &[incoming.body], hex) {
        return Err(WebhookError::Signature);
    }
    let event: Event = serde_json::from_slice(incoming.body)
        .map_err(|error| WebhookError::Malformed(format!("{:?}", error.classify())))?;
    let is_ours = event.store_id.as_deref() == Some(store_id);
    let about = match (event.invoice_id, event.pull_payment_id) {
        _ if !is_ours => About::Nothing,
        (Some(invoice), _) => About::Charge(invoice),
        (None, Some(pull)) => About::Refund(pull),
        (None, None) => About::Nothing,
    };
    // Empty where the server has forgotten the first.
    let first = event.original_delivery_id.filter(|id| !id.is_empty());
    Ok(Notice { event_id: first.unwrap_or(event.delivery_id), kind: event.kind, about })
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn receive(secret: &str, header: &str, body: &[u8]) -> Result<Notice, WebhookError> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, header.parse().unwrap());
        let incoming = Incoming { headers: &headers, body, now: Timestamp::UNIX_EPOCH };
        parse(&Secret::new(secret.to_owned()), "store", &incoming)
    }

    fn sign(secret: &str, body: &[u8]) -> String {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        let tag = ring::hmac::sign(&key, body);
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{SCHEME}{hex}")
    }

    #[test]
    fn the_known_vector() {
        let hex = "aa9e2e3575f5d7098b6caccd790888c36d5fdb63342a73bada2d6a51747a8494";
        let body = br#"{"a":1}"#;
        // Genuine, and not an event.
        let genuine = receive("secret", &format!("sha256={hex}"), body);
        assert_eq!(genuine, Err(WebhookError::Malformed("Data".into())));
        for header in [
            hex.to_owned(),
            format!("sha1={hex}"),
            "sha256=".into(),
            format!("sha256={}", &hex[2..]),
        ] {
            assert_eq!(receive("secret", &header, body), Err(WebhookError::Signature), "{header}");
        }
        assert_eq!(receive("other", &format!("sha256={hex}"), body), Err(WebhookError::Signature));
    }

    #[test]
    fn a_repeated_delivery_is_known_by_its_first() {
        let notice =
            |body: &str| receive("s", &sign("s", body.as_bytes()), body.as_bytes()).unwrap();
        let first = notice(
            r#"{"deliveryId":"d1","originalDeliveryId":"d1","type":"InvoiceSettled","storeId":"store","invoiceId":"i"}"#,
        );
        let again = notice(
            r#"{"deliveryId":"d2","originalDeliveryId":"d1","isRedelivery":true,"type":"InvoiceSettled","storeId":"store","invoiceId":"i"}"#,
        );
        assert_eq!(first, again);
        assert_eq!((first.event_id.as_str(), first.about), ("d1", About::Charge("i".into())));
        let payout = notice(
            r#"{"deliveryId":"d3","type":"PayoutUpdated","storeId":"store","payoutId":"p","pullPaymentId":"pp"}"#,
        );
        assert_eq!((payout.event_id.as_str(), payout.about), ("d3", About::Refund("pp".into())));
        let other = notice(
            r#"{"deliveryId":"d4","type":"InvoiceSettled","storeId":"another","invoiceId":"i"}"#,
        );
        assert_eq!(other.about, About::Nothing);
    }

    proptest! {
        #[test]
        fn any_header_and_body_are_looked_at_without_panic(header in "[ -~]{0,90}", body: Vec<u8>) {
            prop_assert_eq!(receive("secret", &header, &body), Err(WebhookError::Signature));
            prop_assert!(receive("secret", &sign("secret", &body), &body).is_err());
        }
    }
}
