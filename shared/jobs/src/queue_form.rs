//! A queue as an operator sees it: its name, its limits, and what may be shown of a payload.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::catalog::{Job, QUEUES};
use crate::envelope::decode;

/// Longest key that is shown of a payload that cannot be read.
const KEY_CHARS_MAX: usize = 64;

/// A queue of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct QueueForm {
    /// Its name.
    pub name: &'static str,
    /// How often a job is tried.
    pub attempts_max: u16,
    /// How long one attempt may take.
    pub timeout: Duration,
    shown: fn(&[u8]) -> Option<Value>,
}

impl QueueForm {
    /// Of a kind of job.
    #[must_use]
    pub const fn of<J: Job>() -> Self {
        Self {
            name: J::QUEUE,
            attempts_max: J::ATTEMPTS_MAX,
            timeout: J::TIMEOUT,
            shown: |payload| serde_json::to_value(decode::<J>(payload).ok()?).ok(),
        }
    }
}

/// What may be shown of a payload of `queue`: what its type reads of it, which is ids. Of a payload that cannot be
/// read, or of a queue that is not in the catalogue, its shape: nobody knows what is in it.
#[must_use]
pub(crate) fn redacted(queue: &str, payload: &[u8]) -> Value {
    let known = QUEUES.iter().find(|form| form.name == queue);
    let shown = known.and_then(|form| (form.shown)(payload));
    shown.unwrap_or_else(|| match serde_json::from_slice(payload) {
        Ok(value) => shape(&value),
        Err(_) => Value::String(format!("{} bytes that are no JSON", payload.len())),
    })
}

fn shape(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => "a boolean".into(),
        Value::Number(_) => "a number".into(),
        Value::String(text) => format!("a string of {} characters", text.chars().count()).into(),
        Value::Array(items) => format!("an array of {}", items.len()).into(),
        Value::Object(fields) => {
            let short = |key: &String| key.chars().take(KEY_CHARS_MAX).collect::<String>();
            let shapes = fields.iter().map(|(key, value)| (short(key), shape(value)));
            Value::Object(shapes.collect::<Map<_, _>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_read_is_shown_and_nothing_beside_it() {
        let payload = br#"{"version": 1, "job": {"step": "check", "note": "ada@example.com"}}"#;
        assert_eq!(redacted("usage", payload), json!({"step": "check"}));
    }

    #[test]
    fn what_is_not_read_is_shown_as_its_shape() {
        let payload =
            br#"{"version": 9, "job": {"to": "ada@example.com", "list": [1, 2], "at": null}}"#;
        let shape = json!({
            "version": "a number",
            "job": {"to": "a string of 15 characters", "list": "an array of 2", "at": null},
        });
        assert_eq!(redacted("usage", payload), shape);
        assert_eq!(redacted("of another release", payload), shape);
        assert_eq!(redacted("usage", b"ada"), json!("3 bytes that are no JSON"));
    }

    #[test]
    fn the_names_of_queues_do_not_change() {
        // Jobs of earlier releases wait under them.
        let names = QUEUES.map(|form| form.name).join(" ");
        expect_test::expect!["email usage webhooks billing payments documents audit"]
            .assert_eq(&names);
    }
}
