//! The catalogue is held against itself: names, schemas and examples.

use expect_test::expect;
use serde_json::Value;

use super::*;
use crate::event_type::EventType;

#[test]
fn names_are_event_types_and_come_once() {
    let mut names: Vec<_> = CATALOGUE.iter().map(|kind| kind.name).collect();
    assert!(names.iter().all(|name| name.parse::<EventType>().is_ok()));
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
}

/// Names are part of the API: none is changed or taken away.
#[test]
fn the_catalogue_names_these_events() {
    let names: Vec<_> = CATALOGUE.iter().map(|kind| kind.name).collect();
    expect![[r#"
        tenant.updated
        tenant.closed
        user.invited
        user.joined
        user.updated
        user.removed
        api_key.created
        api_key.revoked
        subscription.created
        subscription.updated
        subscription.trial_ending
        subscription.canceled
        invoice.finalized
        invoice.paid
        invoice.payment_failed
        invoice.voided
        payment.succeeded
        payment.failed
        payment.refunded
        usage.threshold_reached
        domain.verified
        domain.failed
        domain.certificate_renewed
        security.ip_allowlist_updated
        security.credential_abuse_suspected
        security.ownership_changed
        message.sent
        message.delivered
        message.read
        message.failed
        message.received
        webhook_endpoint.failing
        webhook_endpoint.disabled
        webhook_endpoint.test"#]]
    .assert_eq(&names.join("\n"));
}

#[test]
fn events_of_one_entity_follow_from_each_other() {
    let paid = billing::InvoicePaid::example();
    assert_eq!(paid.ordering_key(), billing::InvoiceVoided::example().ordering_key());
    assert_eq!(paid.ordering_key(), paid.0.invoice_id);
}

#[test]
fn applications_tell_of_messages_only() {
    for (name, may) in [
        ("message.sent", true),
        ("message.reaction.added", true),
        ("messages.sent", false),
        ("invoice.paid", false),
        ("webhook_endpoint.test", false),
    ] {
        assert_eq!(message::application_may_tell(&name.parse().unwrap()), may, "{name}");
    }
}

#[test]
fn every_example_is_a_message_that_can_be_sent() {
    for kind in CATALOGUE {
        let event_type: EventType = kind.name.parse().unwrap();
        let bytes = crate::body(&event_type, Timestamp::UNIX_EPOCH, &(kind.example)()).unwrap();
        let sent: Value = serde_json::from_slice(&bytes).unwrap();
        assert!(sent["data"].is_object(), "{}", kind.name);
    }
}

#[test]
fn every_example_is_as_its_schema_says() {
    for kind in CATALOGUE {
        let schema = crate::openapi::data_schema(kind);
        let faults = differences(&schema, &(kind.example)(), kind.name);
        assert!(faults.is_empty(), "{faults:#?}");
    }
}

#[test]
fn an_example_that_differs_is_found() {
    let kind = CATALOGUE.iter().find(|kind| kind.name == "invoice.paid").unwrap();
    let schema = crate::openapi::data_schema(kind);
    let mut example = (kind.example)();
    example["total"]["amount_minor"] = "much".into();
    example["extra"] = 1.into();
    example.as_object_mut().unwrap().remove("number");
    example["period_start"] = "yesterday".into();
    assert_eq!(differences(&schema, &example, "x").len(), 4);
    let list = serde_json::json!({"type": "array", "items": {"type": "string"}});
    assert_eq!(differences(&list, &serde_json::json!(["a", 1]), "x").len(), 1);
}

/// What of `value` is not as `schema` says.
fn differences(schema: &Value, value: &Value, place: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        let schemas = crate::openapi::schemas();
        let found = schemas.iter().find(|(known, _)| known == name);
        let Some((_, schema)) = found else { return vec![format!("{place}: no schema {name}")] };
        return differences(&serde_json::to_value(schema).unwrap(), value, place);
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().into_iter().collect(),
    };
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let mut faults = Vec::new();
    if !types.contains(&found) {
        faults.push(format!("{place}: is {found}, not {types:?}"));
    }
    if schema["format"] == "date-time"
        && value.as_str().is_some_and(|text| text.parse::<Timestamp>().is_err())
    {
        faults.push(format!("{place}: is no instant"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        faults.extend(differences(&schema["items"], item, &format!("{place}/{index}")));
    }
    if let Value::Object(fields) = value {
        for (name, field) in fields {
            match schema["properties"].get(name) {
                Some(schema) => {
                    faults.extend(differences(schema, field, &format!("{place}/{name}")))
                }
                None => faults.push(format!("{place}/{name}: is not described")),
            }
        }
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let missing =
            required.iter().filter_map(Value::as_str).filter(|name| !fields.contains_key(*name));
        faults.extend(missing.map(|name| format!("{place}/{name}: is missing")));
    }
    faults
}
