//! A CloudEvent (version 1.0.2, JSON format) that tells of usage. Pure: any JSON becomes an event to count, or the
//! field that is wrong and what it must be.

use std::collections::BTreeMap;

use domain::faults::Fault;
use domain::id::TenantId;
use domain::meter::{Aggregation, MeterName, MeterSource};
use jiff::{SignedDuration, Timestamp};
use ring::digest;
use serde_json::{Map, Value};
use store::catalogue::MeterTerms;
use store::usage_events::UsageEvent;
use uuid::Uuid;

/// How late an event may come. Its id is remembered for as long.
const LATE_MAX: SignedDuration = SignedDuration::from_hours(35 * 24);
/// How far the application's clock may be ahead.
const AHEAD_MAX: SignedDuration = SignedDuration::from_mins(5);
/// Longest id, source and value, in bytes.
const TEXT_LEN_MAX: usize = 255;
/// Largest quantity: the sum of an hour's events must be a number, too.
const QUANTITY_MAX: u64 = 1_000_000_000;

/// What events are held against.
pub(super) struct Expected {
    meters: BTreeMap<MeterName, MeterTerms>,
    now: Timestamp,
}

impl Expected {
    pub(super) fn new(meters: Vec<(MeterName, MeterTerms)>, now: Timestamp) -> Self {
        Self { meters: meters.into_iter().collect(), now }
    }

    /// The event to count.
    pub(super) fn event(&self, event: &Value) -> Result<UsageEvent, Fault> {
        let event = event.as_object().ok_or_else(|| fault("", "must be a JSON object"))?;
        if event.get("specversion").and_then(Value::as_str) != Some("1.0") {
            return Err(fault("/specversion", "must be \"1.0\""));
        }
        let id = text(event, "id")?;
        let source = text(event, "source")?;
        let (meter, terms) = self.meter(text(event, "type")?)?;
        let tenant_id: TenantId = text(event, "subject")?
            .parse()
            .map_err(|error| fault("/subject", &format!("names the tenant; {error}")))?;
        let at = self.time(event.get("time"))?;
        let data = match event.get("data") {
            None | Some(Value::Null) => None,
            Some(Value::Object(data)) => Some(data),
            Some(_) => return Err(fault("/data", "must be a JSON object")),
        };
        let value = match terms.aggregation {
            Aggregation::Unique => {
                let value = data.and_then(|data| data.get("value")).and_then(Value::as_str);
                let value = value.filter(|value| (1..=TEXT_LEN_MAX).contains(&value.len()));
                let value = value.ok_or_else(|| {
                    fault("/data/value", "is needed for this meter: 1 to 255 characters, of which different ones are counted")
                })?;
                Some(hash(tenant_id, meter.as_str(), value))
            }
            _ => None,
        };
        Ok(UsageEvent {
            fingerprint: hash(tenant_id, source, id),
            quantity: quantity(data.and_then(|data| data.get("quantity")))?,
            tenant_id,
            meter,
            at,
            value,
        })
    }

    fn meter(&self, name: &str) -> Result<(MeterName, &MeterTerms), Fault> {
        let Some((meter, terms)) = self.meters.get_key_value(name) else {
            return Err(fault("/type", "must be the name of a meter of the catalogue"));
        };
        match terms.source {
            MeterSource::Events => Ok((meter.clone(), terms)),
            MeterSource::Edge => {
                Err(fault("/type", "is counted by the edge, so events would count it twice"))
            }
            MeterSource::Webhooks => Err(fault(
                "/type",
                "is counted by the sender of webhooks, so events would count it twice",
            )),
            MeterSource::Derived => {
                Err(fault("/type", "is counted from what is there; events cannot tell it"))
            }
        }
    }

    fn time(&self, time: Option<&Value>) -> Result<Timestamp, Fault> {
        let time = match time {
            None | Some(Value::Null) => return Ok(self.now),
            Some(time) => time.as_str().and_then(|text| text.parse::<Timestamp>().ok()),
        };
        let time = time.ok_or_else(|| {
            fault("/time", "must be a time such as \"2026-11-24T12:00:00Z\" (RFC 3339)")
        })?;
        let age = self.now.duration_since(time);
        if age > LATE_MAX {
            return Err(fault(
                "/time",
                "is more than 35 days ago, which is too late to be counted",
            ));
        }
        if age < -AHEAD_MAX {
            return Err(fault(
                "/time",
                "is more than 5 minutes ahead; set the application's clock",
            ));
        }
        // What the database keeps.
        Ok(Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time))
    }
}

fn text<'e>(event: &'e Map<String, Value>, name: &str) -> Result<&'e str, Fault> {
    let text = event.get(name).and_then(Value::as_str);
    let good = |text: &&str| {
        (1..=TEXT_LEN_MAX).contains(&text.len()) && !text.contains(|sign: char| sign.is_control())
    };
    text.filter(good).ok_or_else(|| fault(&format!("/{name}"), "must be 1 to 255 characters"))
}

fn quantity(quantity: Option<&Value>) -> Result<u64, Fault> {
    let quantity = match quantity {
        None => Some(1),
        Some(quantity) => quantity.as_u64(),
    };
    quantity
        .filter(|quantity| *quantity <= QUANTITY_MAX)
        .ok_or_else(|| fault("/data/quantity", "must be a whole number from 0 to 1,000,000,000"))
}

/// 128 bits that stand for three texts; their lengths keep them apart.
fn hash(tenant_id: TenantId, second: &str, third: &str) -> Uuid {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(tenant_id.as_uuid().as_bytes());
    for text in [second, third] {
        context.update(&(text.len() as u64).to_le_bytes());
        context.update(text.as_bytes());
    }
    let digest = context.finish();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_ref()[..16]);
    Uuid::from_bytes(bytes)
}

fn fault(pointer: &str, detail: &str) -> Fault {
    Fault { pointer: pointer.to_owned(), detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn expected() -> Expected {
        let terms = |aggregation, source| MeterTerms {
            aggregation,
            source,
            title: "T".to_owned(),
            unit: "u".to_owned(),
        };
        let meters = [
            ("runs", Aggregation::Sum, MeterSource::Events),
            ("readers", Aggregation::Unique, MeterSource::Events),
            ("messages", Aggregation::Sum, MeterSource::Edge),
            ("users", Aggregation::Latest, MeterSource::Derived),
        ];
        let meters = meters
            .map(|(name, aggregation, source)| (name.parse().unwrap(), terms(aggregation, source)));
        Expected::new(meters.to_vec(), "2026-11-24T12:00:00Z".parse().unwrap())
    }

    fn event() -> Value {
        json!({
            "specversion": "1.0",
            "id": "run-1",
            "source": "/automations",
            "type": "runs",
            "subject": "tenant_01h455vb4pex5vsknk084sn02q",
            "time": "2026-11-24T11:59:00+00:00",
            "data": { "quantity": 3 },
            "anextension": "ignored",
        })
    }

    fn with(pointer: &str, value: Value) -> Result<UsageEvent, Fault> {
        let mut changed = event();
        match changed.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => changed["data"] = value,
        }
        expected().event(&changed)
    }

    #[test]
    fn a_whole_event_and_its_defaults() {
        let told = expected().event(&event()).unwrap();
        assert_eq!((told.meter.as_str(), told.quantity, told.value), ("runs", 3, None));
        assert_eq!(told.at.to_string(), "2026-11-24T11:59:00Z");
        let mut least = event();
        let fields = least.as_object_mut().unwrap();
        fields.retain(|name, _| name != "time" && name != "data");
        let told = expected().event(&least).unwrap();
        assert_eq!((told.quantity, told.at), (1, expected().now));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long = "x".repeat(256);
        for (pointer, value) in [
            ("/specversion", json!("0.3")),
            ("/specversion", json!(1.0)),
            ("/id", json!("")),
            ("/id", json!(7)),
            ("/id", json!(long)),
            ("/source", json!("a\u{0}b")),
            ("/type", json!("walks")),
            ("/type", json!("messages")),
            ("/type", json!("users")),
            ("/subject", json!("acme")),
            ("/time", json!("yesterday")),
            ("/time", json!(7)),
            ("/time", json!("2026-10-20T11:59:59Z")),
            ("/time", json!("2026-11-24T12:05:01Z")),
            ("/data", json!([])),
            ("/data/quantity", json!(-1)),
            ("/data/quantity", json!(1.5)),
            ("/data/quantity", json!("3")),
            ("/data/quantity", json!(1_000_000_001)),
        ] {
            assert_eq!(with(pointer, value.clone()).unwrap_err().pointer, pointer, "{value}");
        }
        for edge in ["2026-10-20T12:00:00Z", "2026-11-24T12:05:00Z"] {
            assert!(with("/time", json!(edge)).is_ok());
        }
        assert_eq!(expected().event(&json!([])).unwrap_err().pointer, "");
    }

    #[test]
    fn different_values_are_told_apart_and_needed() {
        let reader = |data| {
            let mut told = event();
            told["type"] = json!("readers");
            told["data"] = data;
            expected().event(&told)
        };
        let value = |text| reader(json!({ "value": text })).unwrap().value;
        assert_eq!(value("ann"), value("ann"));
        assert_ne!(value("ann"), value("bob"));
        for missing in [json!({}), json!({ "value": "" }), json!({ "value": 7 }), Value::Null] {
            assert_eq!(reader(missing).unwrap_err().pointer, "/data/value");
        }
    }

    #[test]
    fn an_event_is_known_by_tenant_source_and_id() {
        let fingerprint = |pointer, value| with(pointer, value).unwrap().fingerprint;
        let same = fingerprint("/time", json!("2026-11-24T11:00:00Z"));
        assert_eq!(same, fingerprint("/data/quantity", json!(9)));
        assert_ne!(same, fingerprint("/id", json!("run-2")));
        assert_ne!(same, fingerprint("/source", json!("/automation")));
        assert_ne!(same, fingerprint("/subject", json!("tenant_01h455vb4pex5vsknk084sn02r")));
        // Not by their texts run together.
        let mut one = event();
        (one["source"], one["id"]) = (json!("/automationsr"), json!("un-1"));
        assert_ne!(same, expected().event(&one).unwrap().fingerprint);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::hash_map(
                    prop_oneof![
                        Just("quantity".to_owned()),
                        Just("value".to_owned()),
                        "[a-z]{1,6}"
                    ],
                    inner,
                    0..4
                )
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_field_of_any_json_has_an_answer(
            field in prop_oneof!["specversion", "id", "source", "type", "subject", "time", "data"],
            value in any_json(),
        ) {
            let mut told = event();
            told[&field] = value;
            if let Err(fault) = expected().event(&told) {
                let pointer = format!("/{field}");
                prop_assert!(fault.pointer.starts_with(&pointer), "{} {}", fault.pointer, pointer);
            }
        }

        #[test]
        fn any_json_has_an_answer(value in any_json()) {
            prop_assert!(expected().event(&value).is_err());
        }
    }
}
