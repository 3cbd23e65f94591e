use serde_json::{Value, json};

use super::*;

fn intent(status: &str, more: Value) -> Intent {
    let mut object = json!({
        "id": "pi_1", "object": "payment_intent", "amount": 9900, "currency": "usd",
        "status": status, "created": 1_700_000_000,
    });
    let fields = object.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    serde_json::from_value(object).unwrap()
}

fn state(status: &str, more: Value) -> ChargeState {
    intent(status, more).into_charge().unwrap().state
}

#[test]
fn every_status_of_a_payment_intent_has_its_word() {
    let declined = |code: &str, hard| ChargeState::Declined(Decline { hard, code: code.into() });
    let error = |error: Value| json!({ "last_payment_error": error });
    assert_eq!(state("succeeded", json!({})), ChargeState::Succeeded);
    assert_eq!(state("processing", json!({})), ChargeState::Processing);
    assert_eq!(state("requires_capture", json!({})), ChargeState::Processing);
    assert_eq!(state("requires_confirmation", json!({})), ChargeState::Processing);
    assert_eq!(state("canceled", json!({})), ChargeState::Canceled);
    let next = json!({ "next_action": { "type": "redirect_to_url",
        "redirect_to_url": { "url": "https://hooks.stripe.com/x", "return_url": "https://a" } } });
    let url = Some("https://hooks.stripe.com/x".to_owned());
    assert_eq!(state("requires_action", next), ChargeState::ActionRequired { url });
    let sdk = json!({ "next_action": { "type": "use_stripe_sdk", "use_stripe_sdk": {} } });
    assert_eq!(state("requires_action", sdk), ChargeState::ActionRequired { url: None });
    let lost = error(json!({ "code": "card_declined", "decline_code": "lost_card" }));
    assert_eq!(state("requires_payment_method", lost), declined("lost_card", true));
    let funds = error(json!({ "code": "card_declined", "decline_code": "insufficient_funds" }));
    assert_eq!(state("requires_payment_method", funds), declined("insufficient_funds", false));
    // The customer did not get through the bank's page: another try may.
    let failed = error(json!({ "code": "payment_intent_authentication_failure" }));
    let code = "payment_intent_authentication_failure";
    assert_eq!(state("requires_payment_method", failed), declined(code, false));
    let asks = error(json!({ "code": "authentication_required" }));
    assert_eq!(state("requires_payment_method", asks), ChargeState::ActionRequired { url: None });
}

#[test]
fn what_came_in_is_the_amount_once_it_did() {
    let amount = |status, more| intent(status, more).into_charge().unwrap().amount.amount_minor;
    assert_eq!(amount("succeeded", json!({ "amount_received": 9000 })), 9000);
    assert_eq!(amount("succeeded", json!({})), 9900);
    assert_eq!(amount("processing", json!({ "amount_received": 0 })), 9900);
    let odd = json!({ "currency": "isk", "amount": 550 });
    assert!(matches!(intent("succeeded", odd).into_charge(), Err(PaymentError::Unavailable(_))));
}

#[test]
fn a_charge_without_our_key_is_not_ours() {
    assert_eq!(intent("succeeded", json!({ "metadata": {} })).key(), None);
    assert_eq!(intent("succeeded", json!({ "metadata": { "pytake": "no key" } })).key(), None);
    let text = "tenant_01h455vb4pex5vsknk084sn02q/inv_01h455vb4pex5vsknk084sn02q/3";
    let key = intent("succeeded", json!({ "metadata": { "pytake": text } })).key().unwrap();
    assert_eq!((key.to_string().as_str(), key.attempt), (text, 3));
}

#[test]
fn an_inquiry_holds_nothing_back() {
    let state = |status: &str| {
        let object = json!({ "id": "dp_1", "amount": 100, "currency": "usd", "status": status,
            "reason": "fraudulent", "payment_intent": "pi_1", "created": 0 });
        let dispute: DisputeObject = serde_json::from_value(object).unwrap();
        dispute.into_dispute().unwrap().map(|dispute| dispute.state)
    };
    assert_eq!(state("needs_response"), Some(DisputeState::Open));
    assert_eq!(state("under_review"), Some(DisputeState::Open));
    assert_eq!(state("won"), Some(DisputeState::Won));
    assert_eq!(state("charge_refunded"), Some(DisputeState::Won));
    assert_eq!(state("lost"), Some(DisputeState::Lost));
    for inquiry in ["warning_needs_response", "warning_under_review", "warning_closed"] {
        assert_eq!(state(inquiry), None);
    }
}

#[test]
fn a_card_is_good_until_its_months_last_day() {
    let label = |card: Value| {
        let method = json!({ "type": "card", "card": card });
        serde_json::from_value::<Method>(method).unwrap().label()
    };
    let good = label(json!({ "brand": "visa", "last4": "4242", "exp_month": 2, "exp_year": 2028 }));
    assert_eq!(good.expires_on, Some(jiff::civil::date(2028, 2, 29)));
    assert_eq!((good.brand.as_deref(), good.last_four.as_deref()), (Some("visa"), Some("4242")));
    let odd = label(json!({ "brand": null, "last4": null, "exp_month": 13, "exp_year": 2028 }));
    assert_eq!(odd.expires_on, None);
}

#[test]
fn every_status_of_a_refund_has_its_word() {
    let state = |status: Value| {
        let object = json!({ "id": "re_1", "amount": 100, "currency": "usd", "status": status, "created": 0 });
        serde_json::from_value::<RefundObject>(object).unwrap().into_refund().unwrap().state
    };
    assert_eq!(state(json!("succeeded")), RefundState::Succeeded);
    for waiting in [json!("pending"), json!("requires_action"), json!(null)] {
        assert_eq!(state(waiting), RefundState::Processing);
    }
    for failed in ["failed", "canceled"] {
        assert_eq!(state(json!(failed)), RefundState::Failed);
    }
}
