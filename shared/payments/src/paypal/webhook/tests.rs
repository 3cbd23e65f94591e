use super::*;

fn about_of(event: &str) -> About {
    about(&serde_json::from_str(event).unwrap())
}

#[test]
fn an_event_says_what_it_is_about() {
    let of = |kind: &str, resource: &str| {
        about_of(&format!(r#"{{"id":"WH-1","event_type":"{kind}","resource":{resource}}}"#))
    };
    let id = || "X1".to_owned();
    assert_eq!(of("PAYMENT.CAPTURE.COMPLETED", r#"{"id":"X1"}"#), About::Charge(id()));
    assert_eq!(of("PAYMENT.CAPTURE.DENIED", r#"{"id":"X1"}"#), About::Charge(id()));
    assert_eq!(of("PAYMENT.CAPTURE.REFUNDED", r#"{"id":"X1"}"#), About::Refund(id()));
    assert_eq!(of("PAYMENT.REFUND.FAILED", r#"{"id":"X1"}"#), About::Refund(id()));
    assert_eq!(of("CHECKOUT.ORDER.APPROVED", r#"{"id":"X1"}"#), About::Charge("order-X1".into()));
    assert_eq!(of("CUSTOMER.DISPUTE.CREATED", r#"{"dispute_id":"X1"}"#), About::Dispute(id()));
    let vaulted = r#"{"id":"X1","customer":{"merchant_customer_id":"tenant_1"}}"#;
    assert_eq!(of("VAULT.PAYMENT-TOKEN.DELETED", vaulted), About::Method("tenant_1/X1".into()));
    assert_eq!(of("VAULT.PAYMENT-TOKEN.DELETED", r#"{"id":"X1"}"#), About::Method(id()));
    assert_eq!(of("BILLING.PLAN.CREATED", r#"{"id":"X1"}"#), About::Nothing);
    assert_eq!(of("PAYMENT.CAPTURE.COMPLETED", "{}"), About::Nothing);
    assert_eq!(about_of(r#"{"id":"WH-1","event_type":"X"}"#), About::Nothing);
}

#[test]
fn only_paypals_own_certificates_are_believed() {
    for url in [
        "https://api.paypal.com/v1/certs/x",
        "https://api.sandbox.paypal.com/x",
        "https://paypal.com/x",
    ] {
        assert!(is_paypals_certificate(url), "{url}");
    }
    for url in [
        "http://api.paypal.com/x",
        "https://evilpaypal.com/x",
        "https://paypal.com.evil.example/x",
        "https://evil.example/paypal.com",
        "https://paypal.com@evil.example/x",
        "https://u@api.paypal.com/x",
        "https://api.paypal.com:444/x",
        "https://[::1]/x",
        "",
    ] {
        assert!(!is_paypals_certificate(url), "{url}");
    }
}

fn question(is_paypal: bool, at: &str, body: &str) -> Result<String, WebhookError> {
    let checks = Checks { webhook_id: "WH-2".into(), is_paypal };
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("paypal-auth-algo", "SHA256withRSA"),
        ("paypal-cert-url", "https://elsewhere.example/cert"),
        ("paypal-transmission-id", "id"),
        ("paypal-transmission-sig", "sig"),
        ("paypal-transmission-time", at),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    let now = "2026-04-02T00:00:00Z".parse().unwrap();
    let incoming = Incoming { headers: &headers, body: body.as_bytes(), now };
    checks.question(&incoming).map(|question| serde_json::to_string(&question).unwrap())
}

#[test]
fn the_body_is_handed_on_as_it_came() {
    let body = r#"{ "id" :"WH-1", "amount": 1.10, "text": "\u00e9",  "id2":1e2 }"#;
    let asked = question(false, "2026-04-01T23:59:00Z", body).unwrap();
    assert!(asked.contains(body), "{asked}");
    assert!(asked.contains(r#""webhook_id":"WH-2""#));
    // What is no JSON cannot break out of its place.
    for broken in ["", "{}, \"webhook_id\": 1", "{} {}", "{"] {
        let asked = question(false, "2026-04-01T23:59:00Z", broken);
        assert!(matches!(asked, Err(WebhookError::Malformed(_))), "{broken}");
    }
}

#[test]
fn what_needs_no_asking_is_refused_at_once() {
    let at = "2026-04-01T23:59:00Z";
    assert_eq!(question(true, at, "{}"), Err(WebhookError::Signature));
    assert_eq!(question(false, "soon", "{}"), Err(WebhookError::Signature));
    for stale in ["2026-03-29T22:59:59Z", "2026-04-02T00:05:01Z"] {
        assert_eq!(question(false, stale, "{}"), Err(WebhookError::Stale), "{stale}");
    }
    assert!(question(false, "2026-03-29T23:00:00Z", "{}").is_ok());
}
