//! `PayPal`'s own: its token, its vault, its payers who have to agree, and its webhooks that are verified by asking.

use std::sync::Arc;

use domain::payment::{ChargeState, DisputeState, ProviderName};
use domain::secret::Secret;
use http::HeaderMap;
use payments::{
    About, Fact, Incoming, MethodState, NewMethod, Notice, PaymentError, SavedMethod, WebhookError,
};
use serde_json::json;

use crate::fake::Reply;
use crate::subject::{RETURN_URL, Subject, at, key, tenant_id, usd};

async fn start() -> Subject {
    Subject::start(ProviderName::PayPal).await
}

async fn save(subject: &Subject, token: Option<&str>) -> Result<SavedMethod, PaymentError> {
    let token = token.map(|text| Secret::new(text.to_owned()));
    let wish = NewMethod {
        tenant_id: tenant_id(),
        email: Some("billing@acme.example"),
        token: token.as_ref(),
        beside: None,
        return_url: RETURN_URL,
    };
    subject.provider.save_method(&wish).await
}

#[tokio::test]
async fn an_account_is_in_the_vault_once_its_owner_has_agreed() {
    let subject = start().await;
    let saved = save(&subject, None).await.unwrap();
    let url = "https://www.paypal.com/agreements/approve?approval_session_id=5C9".to_owned();
    assert_eq!(saved.state, MethodState::NeedsConfirmation { url });
    // Nobody has agreed yet; and nothing is charged by it.
    let waits = subject.provider.confirm_method(&saved.token).await.unwrap();
    assert_eq!(waits, saved);
    let order = payments::ChargeOrder { method: &saved.token, ..subject.order(1) };
    assert!(matches!(subject.provider.charge(&order).await, Err(PaymentError::Unsupported(_))));
    subject.replay.happen("agreed");
    let usable = subject.provider.confirm_method(&saved.token).await.unwrap();
    assert_eq!(usable.token.expose(), "vault/8kk8451t");
    assert_eq!(usable.label.email.as_deref(), Some("jane@acme.example"));
    assert_eq!(usable.state, MethodState::Usable);
    assert_eq!(subject.provider.confirm_method(&usable.token).await, Ok(usable.clone()));
    // Or it comes from PayPal's script, agreed on; but not another tenant's.
    assert_eq!(save(&subject, Some("5C9")).await, Ok(usable.clone()));
    assert!(matches!(save(&subject, Some("FOREIGN")).await, Err(PaymentError::Declined(_))));
    assert_eq!(subject.provider.forget_method(&usable.token).await, Ok(()));
    assert_eq!(subject.provider.forget_method(&usable.token).await, Ok(()));
    assert_eq!(subject.provider.forget_method(&saved.token).await, Ok(()));
    let about = About::Method(format!("{}/8kk8451t", tenant_id()));
    let fact = subject.provider.read(&about).await.unwrap();
    assert_eq!(fact, Some(Fact::Method(tenant_id(), usable.token, None)));
    subject.replay.all();
}

#[tokio::test]
async fn what_a_payer_has_agreed_to_is_captured_once() {
    let subject = start().await;
    let charge = subject.provider.charge(&subject.order(4)).await.unwrap();
    assert_eq!(charge.reference, "order-ORDER4");
    let about = About::Charge(charge.reference.clone());
    let fact = subject.provider.read(&about).await.unwrap();
    assert_eq!(fact, Some(Fact::Charge(key(4), charge)));
    assert_eq!(subject.replay.count("capture"), 0);
    subject.replay.happen("approved");
    let Some(Fact::Charge(of, paid)) = subject.provider.read(&about).await.unwrap() else {
        panic!("it is ours");
    };
    // From now on it is known by its capture.
    assert_eq!((of, paid.reference.as_str(), paid.state), (key(4), "CAP4", ChargeState::Succeeded));
    subject.replay.happen("paid");
    let again = subject.provider.read(&about).await.unwrap();
    assert!(matches!(again, Some(Fact::Charge(_, charge)) if charge.reference == "CAP4"));
    assert_eq!(subject.replay.count("capture"), 1);
    subject.replay.all();
}

#[tokio::test]
async fn what_we_have_withdrawn_is_not_captured_when_its_payer_agrees_after_all() {
    let subject = start().await;
    let charge = subject.provider.charge(&subject.order(4)).await.unwrap();
    subject.provider.cancel(&charge.reference).await.unwrap();
    subject.replay.happen("approved_late");
    let about = About::Charge(charge.reference.clone());
    assert_eq!(subject.provider.read(&about).await, Ok(None));
    assert_eq!(subject.replay.count("capture"), 0);
    subject.replay.all();
}

#[tokio::test]
async fn one_attempt_is_one_charge_even_when_its_request_is_forgotten() {
    let subject = start().await;
    let duplicate =
        json!({ "name": "UNPROCESSABLE_ENTITY", "details": [{ "issue": "DUPLICATE_INVOICE_ID" }] });
    // Not in the report yet: it may come, so nobody asks again.
    subject.replay.answer_instead("charge", Reply::json(422, &duplicate));
    let late = subject.provider.charge(&subject.order(1)).await;
    assert!(matches!(late, Err(PaymentError::Unavailable(_))), "{late:?}");
    subject.replay.answer_after_all("charge", Reply::json(422, &duplicate));
    let found = subject.provider.charge(&subject.order(1)).await.unwrap();
    assert_eq!((found.reference.as_str(), found.state), ("CAP1", ChargeState::Succeeded));
    subject.replay.all();
}

#[tokio::test]
async fn a_token_is_fetched_once_and_again_when_it_is_taken_no_longer() {
    let subject = start().await;
    let provider = Arc::clone(&subject.provider);
    let asked = (0..20).map(|_| {
        let provider = provider.clone();
        tokio::spawn(async move { provider.read(&About::Charge("unknown".into())).await })
    });
    for asked in asked.collect::<Vec<_>>() {
        assert_eq!(asked.await.unwrap(), Ok(None));
    }
    assert_eq!(subject.replay.count("token"), 1);
    let expired = Reply::json(401, &json!({ "error": "invalid_token" }));
    subject.replay.answer_instead("charge", expired.clone());
    assert!(subject.provider.charge(&subject.order(1)).await.is_ok());
    assert_eq!((subject.replay.count("token"), subject.replay.count("charge")), (2, 2));
    // A client that is not known: no second try, and nothing of what it is.
    let subject = start().await;
    subject.replay.answer_instead("token", expired);
    let refused = subject.provider.charge(&subject.order(1)).await.unwrap_err();
    assert!(matches!(&refused, PaymentError::Refused { code, .. } if code == "invalid_client"));
    subject.replay.all();
}

#[tokio::test]
async fn a_dispute_is_of_the_charge_that_it_is_about() {
    let subject = start().await;
    let fact = subject.provider.read(&About::Dispute("PP-D-1".into())).await.unwrap();
    let Some(Fact::Dispute(of, dispute)) = fact else { panic!("{fact:?}") };
    assert_eq!((of, dispute.charge_reference.as_str()), (key(1), "CAP1"));
    assert_eq!((dispute.amount, dispute.state), (usd(9_900), DisputeState::Open));
    assert_eq!(subject.provider.read(&About::Dispute("PP-D-0".into())).await, Ok(None));
    subject.replay.all();
}

/// The event whose verification is written down.
const EVENT: &str = r#"{ "id":"WH-1","event_type":"PAYMENT.CAPTURE.COMPLETED", "resource":{"id":"CAP1","amount":1.10} }"#;

async fn receive(subject: &Subject, signature: &str, body: &str) -> Result<Notice, WebhookError> {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("paypal-auth-algo", "SHA256withRSA"),
        ("paypal-cert-url", "https://api.paypal.com/v1/notifications/certs/CERT-1"),
        ("paypal-transmission-id", "69cd13f0"),
        ("paypal-transmission-sig", signature),
        ("paypal-transmission-time", "2026-04-01T10:00:00Z"),
    ] {
        headers.insert(name, value.parse().expect("a header"));
    }
    let now = at(1_775_037_660);
    let incoming = Incoming { headers: &headers, body: body.as_bytes(), now };
    subject.provider.parse_webhook(incoming).await
}

#[tokio::test]
async fn a_webhook_is_genuine_if_paypal_says_so() {
    let subject = start().await;
    let about = About::Charge("CAP1".into());
    let notice =
        Notice { event_id: "WH-1".into(), kind: "PAYMENT.CAPTURE.COMPLETED".into(), about };
    assert_eq!(receive(&subject, "good", EVENT).await, Ok(notice));
    assert_eq!(receive(&subject, "forged", EVENT).await, Err(WebhookError::Signature));
    let asked = &subject.replay.named("verify")[0];
    assert!(String::from_utf8_lossy(&asked.body).contains(EVENT), "as it came, byte for byte");
    // While PayPal cannot be asked, nobody knows.
    subject.replay.answer_instead("verify", Reply::Answer(503, Vec::new(), Vec::new()));
    let unknown = receive(&subject, "good", EVENT).await;
    assert!(matches!(unknown, Err(WebhookError::Unverifiable(_))), "{unknown:?}");
    subject.replay.all();
}
