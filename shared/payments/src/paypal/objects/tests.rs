use serde_json::{Value as Json, json};

use super::*;

fn order(status: &str, unit: Json, links: Json) -> Order {
    let mut whole = json!({ "custom_id": "tenant_01h455vb4pex5vsknk084sn02q/inv_01h455vb4pex5vsknk084sn02q/1",
        "amount": { "currency_code": "USD", "value": "99.00" } });
    whole.as_object_mut().unwrap().extend(unit.as_object().unwrap().clone());
    let object =
        json!({ "id": "5O1", "status": status, "purchase_units": [whole], "links": links });
    serde_json::from_value(object).unwrap()
}

fn captured(capture: Json) -> Charge {
    let mut whole = json!({ "id": "3C6", "amount": { "currency_code": "USD", "value": "99.00" } });
    whole.as_object_mut().unwrap().extend(capture.as_object().unwrap().clone());
    let unit = json!({ "payments": { "captures": [whole] } });
    order("COMPLETED", unit, json!([])).into_charge().unwrap()
}

#[test]
fn a_charge_is_known_by_its_capture_once_there_is_one() {
    let charge = captured(json!({ "status": "COMPLETED" }));
    assert_eq!((charge.reference.as_str(), charge.state), ("3C6", ChargeState::Succeeded));
    assert_eq!(charge.amount.amount_minor, 9_900);
    let links = json!([{ "rel": "self", "href": "https://a" }, { "rel": "payer-action", "href": "https://b" }]);
    let waits = order("PAYER_ACTION_REQUIRED", json!({}), links);
    assert!(!waits.waits_for_us());
    let charge = waits.into_charge().unwrap();
    assert_eq!(order_of(&charge.reference), Some("5O1"));
    assert_eq!(charge.state, ChargeState::ActionRequired { url: Some("https://b".into()) });
}

#[test]
fn every_status_of_a_capture_has_its_word() {
    let state = |capture: Json| captured(capture).state;
    for paid in ["COMPLETED", "REFUNDED", "PARTIALLY_REFUNDED"] {
        assert_eq!(state(json!({ "status": paid })), ChargeState::Succeeded, "{paid}");
    }
    let pending = json!({ "status": "PENDING", "status_details": { "reason": "ECHECK" } });
    assert_eq!(state(pending), ChargeState::Processing);
    let declined = |code: &str| ChargeState::Declined(Decline { hard: false, code: code.into() });
    let by_bank =
        json!({ "status": "DECLINED", "processor_response": { "response_code": "5120" } });
    assert_eq!(state(by_bank), declined("5120"));
    assert_eq!(state(json!({ "status": "FAILED" })), declined("FAILED"));
}

#[test]
fn what_is_withdrawn_is_never_captured() {
    let approved = order("APPROVED", json!({}), json!([]));
    assert!(approved.waits_for_us());
    assert_eq!(approved.into_charge().unwrap().state, ChargeState::Processing);
    let withdrawn = order("APPROVED", json!({ "custom_id": WITHDRAWN }), json!([]));
    assert!(!withdrawn.waits_for_us());
    assert_eq!(withdrawn.into_charge().unwrap().state, ChargeState::Canceled);
}

#[test]
fn a_refusal_is_of_the_payer_or_of_the_call() {
    assert_eq!(decline_of("INSTRUMENT_DECLINED").map(|decline| decline.hard), Some(false));
    assert_eq!(
        decline_of("PAYER_ACCOUNT_LOCKED_OR_CLOSED").map(|decline| decline.hard),
        Some(true)
    );
    assert_eq!(decline_of("INVALID_PARAMETER_SYNTAX"), None);
}

#[test]
fn an_amount_that_is_no_amount_is_not_believed() {
    let value = |text: &str| Value { currency_code: "USD".into(), value: text.into() }.money();
    assert!(value("99.00").is_ok());
    for nonsense in ["", "99.001", "-1.00", "x"] {
        assert!(matches!(value(nonsense), Err(PaymentError::Unavailable(_))), "{nonsense}");
    }
}
