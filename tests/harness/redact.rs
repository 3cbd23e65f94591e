//! Takes out of a JSON answer what differs from run to run, so that the rest can be compared as text.

use serde_json::Value;

/// Length of the part of an id after its prefix.
const ID_SUFFIX_LEN: usize = 26;

/// The answer as indented text, with ids, times and secrets replaced by their kind.
#[must_use]
pub fn redact(json: &Value) -> String {
    serde_json::to_string_pretty(&redacted(json)).unwrap_or_default()
}

fn redacted(json: &Value) -> Value {
    match json {
        Value::String(text) => Value::String(word(text)),
        Value::Array(items) => Value::Array(items.iter().map(redacted).collect()),
        Value::Object(fields) => Value::Object(
            fields.iter().map(|(name, value)| (name.clone(), redacted(value))).collect(),
        ),
        other => other.clone(),
    }
}

fn word(text: &str) -> String {
    if let Some((prefix, suffix)) = text.rsplit_once('_')
        && suffix.len() == ID_SUFFIX_LEN
        && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        return format!("{prefix}_…");
    }
    if text.starts_with("pk_") {
        return "pk_…".into();
    }
    if text.starts_with("ey") && text.matches('.').count() == 2 {
        return "<token>".into();
    }
    if text.parse::<jiff::Timestamp>().is_ok() {
        return "<time>".into();
    }
    if text.len() == "2026-11-25".len() && text.parse::<jiff::civil::Date>().is_ok() {
        return "<date>".into();
    }
    // A document's number: INV-2026-000042.
    let mut parts = text.splitn(3, '-');
    if let (Some(series), Some(year), Some(sequence)) = (parts.next(), parts.next(), parts.next())
        && year.len() == 4
        && [year, sequence].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return format!("{series}-<year>-{sequence}");
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_differs_from_run_to_run_is_replaced() {
        let answer = json!({
            "id": "tenant_01h455vb4pex5vsknk084sn02q",
            "at": "2026-11-23T10:00:00Z",
            "key": "pk_abc",
            "name": "Acme",
            "on": "2026-11-25",
            "number": "INV-2026-000042",
        });
        let expected = json!({
            "id": "tenant_…", "at": "<time>", "key": "pk_…", "name": "Acme", "on": "<date>",
            "number": "INV-<year>-000042",
        });
        assert_eq!(redact(&answer), redact(&expected));
    }
}
