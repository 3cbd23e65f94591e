//! Which messages of a type are wanted: conditions on fields of their bodies.

use std::cmp::Ordering;

use domain::faults::Faults;
use serde::{Serialize, Serializer};
use serde_json::{Map, Number, Value, json};

/// Most conditions of a filter.
const CONDITIONS_MAX: usize = 10;
/// Most values of `one_of`.
const VALUES_MAX: usize = 50;
/// Longest pointer and longest text, in characters.
const CHARS_MAX: usize = 200;
/// Largest filter, in bytes of its JSON: it is read for each message of its endpoint.
const BYTES_MAX: usize = 16 * 1024;

/// Conditions that must all hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(Vec<Condition>);

#[derive(Debug, Clone, PartialEq)]
struct Condition {
    /// JSON pointer (RFC 6901) into the body.
    field: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Equals(Value),
    /// Holds for a field that is not there, too.
    NotEquals(Value),
    OneOf(Vec<Value>),
    AtLeast(Number),
    AtMost(Number),
    Exists(bool),
}

/// Why a condition is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum ConditionError {
    #[error("must be an object with `field` and a test")]
    NoObject,
    #[error(
        "must be a JSON pointer into the message such as `/data/currency`, of at most {CHARS_MAX} characters; write \
         `~0` for `~` and `~1` for `/` in a name"
    )]
    Field,
    #[error(
        "must have one test beside its `field`: `equals`, `not_equals`, `one_of`, `at_least`, `at_most` or `exists`"
    )]
    OneTest,
    #[error(
        "must be a text of at most {CHARS_MAX} characters, a number, `true`, `false` or `null`"
    )]
    Scalar,
    #[error(
        "must be a list of 1 to {VALUES_MAX} values: texts of at most {CHARS_MAX} characters, numbers, `true`, `false` \
         or `null`"
    )]
    Values,
    #[error("must be a number")]
    Number,
    #[error("must be `true` or `false`")]
    Flag,
}

impl Filter {
    /// The filter that `value` describes: `[{"field": "/data/currency", "one_of": ["USD", "EUR"]}]`; all faults, each
    /// below `pointer`, when it describes none.
    pub fn parse(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        let Some(items) =
            value.as_array().filter(|items| (1..=CONDITIONS_MAX).contains(&items.len()))
        else {
            faults.push(pointer, format!("must be a list of 1 to {CONDITIONS_MAX} conditions"));
            return None;
        };
        let mut conditions = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            conditions.extend(Condition::parse(item, &format!("{pointer}/{index}"), faults));
        }
        if conditions.len() < items.len() {
            return None;
        }
        let filter = Self(conditions);
        if filter.to_json().to_string().len() > BYTES_MAX {
            faults.push(pointer, format!("must come to at most {BYTES_MAX} bytes of JSON"));
            return None;
        }
        Some(filter)
    }

    /// The stored form, read back.
    #[must_use]
    pub fn from_stored(value: &Value) -> Option<Self> {
        Self::parse(value, "", &mut Faults::new())
    }

    /// The form on the wire and in the database.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.0.iter().map(Condition::to_json).collect()
    }

    /// Whether a body is wanted.
    #[must_use]
    pub fn holds(&self, body: &Value) -> bool {
        self.0.iter().all(|condition| condition.test.holds(body.pointer(&condition.field)))
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl Condition {
    fn parse(item: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        let fields = faults.check(pointer, item.as_object().ok_or(ConditionError::NoObject))?;
        let field = fields.get("field").and_then(Value::as_str).filter(|field| is_pointer(field));
        let field = faults.check(&format!("{pointer}/field"), field.ok_or(ConditionError::Field));
        let mut tests = fields.iter().filter(|(name, _)| *name != "field");
        let test = match (tests.next(), tests.next()) {
            (Some((name, value)), None) => match Test::parse(name, value) {
                // A name that is no test's is not told back: it may be anything.
                Err(ConditionError::OneTest) => faults.check(pointer, Err(ConditionError::OneTest)),
                parsed => faults.check(&format!("{pointer}/{name}"), parsed),
            },
            _ => faults.check(pointer, Err(ConditionError::OneTest)),
        };
        Some(Self { field: field?.to_owned(), test: test? })
    }

    fn to_json(&self) -> Value {
        let (name, value) = match &self.test {
            Test::Equals(value) => ("equals", value.clone()),
            Test::NotEquals(value) => ("not_equals", value.clone()),
            Test::OneOf(values) => ("one_of", values.clone().into()),
            Test::AtLeast(number) => ("at_least", number.clone().into()),
            Test::AtMost(number) => ("at_most", number.clone().into()),
            Test::Exists(there) => ("exists", json!(there)),
        };
        let mut fields = Map::new();
        fields.insert("field".to_owned(), json!(self.field));
        fields.insert(name.to_owned(), value);
        fields.into()
    }
}

/// Whether `text` points at a field (RFC 6901, 3); not at the whole body, which is never a scalar.
fn is_pointer(text: &str) -> bool {
    let escaped = |rest: &str| rest.starts_with(['0', '1']);
    is_text(text) && text.starts_with('/') && text.split('~').skip(1).all(escaped)
}

/// Whether `text` can be stored: `jsonb` has no NUL.
fn is_text(text: &str) -> bool {
    text.chars().count() <= CHARS_MAX && !text.contains('\0')
}

fn is_scalar(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => is_text(text),
        Value::Array(_) | Value::Object(_) => false,
    }
}

impl Test {
    fn parse(name: &str, value: &Value) -> Result<Self, ConditionError> {
        let scalar = || is_scalar(value).then(|| value.clone()).ok_or(ConditionError::Scalar);
        let number = || value.as_number().cloned().ok_or(ConditionError::Number);
        match name {
            "equals" => scalar().map(Self::Equals),
            "not_equals" => scalar().map(Self::NotEquals),
            "at_least" => number().map(Self::AtLeast),
            "at_most" => number().map(Self::AtMost),
            "exists" => value.as_bool().map(Self::Exists).ok_or(ConditionError::Flag),
            "one_of" => {
                let wanted = |values: &&Vec<Value>| {
                    (1..=VALUES_MAX).contains(&values.len()) && values.iter().all(is_scalar)
                };
                let values = value.as_array().filter(wanted);
                values.cloned().map(Self::OneOf).ok_or(ConditionError::Values)
            }
            _ => Err(ConditionError::OneTest),
        }
    }

    fn holds(&self, found: Option<&Value>) -> bool {
        let is = |wanted: &Value| found.is_some_and(|found| equal(found, wanted));
        let compared =
            |wanted: &Number| found?.as_number().and_then(|found| compare(found, wanted));
        match self {
            Self::Equals(wanted) => is(wanted),
            Self::NotEquals(wanted) => !is(wanted),
            Self::OneOf(wanted) => wanted.iter().any(is),
            Self::AtLeast(wanted) => compared(wanted).is_some_and(Ordering::is_ge),
            Self::AtMost(wanted) => compared(wanted).is_some_and(Ordering::is_le),
            Self::Exists(there) => found.is_some() == *there,
        }
    }
}

fn equal(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Number(found), Value::Number(wanted)) => {
            compare(found, wanted) == Some(Ordering::Equal)
        }
        _ => found == wanted,
    }
}

/// Integers exactly: amounts beyond 2^53 are not the same for being near.
fn compare(one: &Number, other: &Number) -> Option<Ordering> {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(value: Value) -> Filter {
        let filter = Filter::parse(&value, "/filter", &mut Faults::new()).unwrap();
        assert_eq!(Filter::from_stored(&filter.to_json()), Some(filter.clone()));
        filter
    }

    fn holds(condition: Value) -> bool {
        let body = json!({"data": {"total": 9_007_199_254_740_993_u64, "currency": "USD", "half": 0.5, "none": null}});
        filter(json!([condition])).holds(&body)
    }

    #[test]
    fn conditions_mean_what_they_say() {
        assert!(holds(json!({"field": "/data/currency", "equals": "USD"})));
        assert!(!holds(json!({"field": "/data/currency", "not_equals": "USD"})));
        assert!(holds(json!({"field": "/data/absent", "not_equals": "USD"})));
        assert!(holds(json!({"field": "/data/currency", "one_of": ["EUR", "USD"]})));
        assert!(
            holds(json!({"field": "/data/none", "exists": true}))
                && holds(json!({"field": "/x", "exists": false}))
        );
        // One more and one less, which are the same number in floating point.
        assert!(holds(json!({"field": "/data/total", "at_least": 9_007_199_254_740_993_u64})));
        assert!(!holds(json!({"field": "/data/total", "at_most": 9_007_199_254_740_992_u64})));
        assert!(
            holds(json!({"field": "/data/half", "at_most": 1}))
                && holds(json!({"field": "/data/half", "equals": 0.5}))
        );
        assert!(!holds(json!({"field": "/data/currency", "at_least": 1})));
    }

    #[test]
    fn all_conditions_must_hold() {
        let both = filter(json!([{"field": "/a", "equals": 1}, {"field": "/b", "equals": 2}]));
        assert!(both.holds(&json!({"a": 1, "b": 2})) && !both.holds(&json!({"a": 1})));
    }

    #[test]
    fn each_fault_has_its_place() {
        let mut faults = Faults::new();
        let bad = json!([
            {"field": "a", "equals": []},
            {"field": "/a"},
            {"equals": 1, "exists": true},
            {"field": "/a", "near": 1},
            7,
            {"field": "/a", "at_least": "1"},
            {"field": "/a", "one_of": []},
            {"field": "/a", "exists": 1},
        ]);
        assert_eq!(Filter::parse(&bad, "/filter", &mut faults), None);
        let places: Vec<_> = faults.into_vec().into_iter().map(|fault| fault.pointer).collect();
        let expected = [
            "/filter/0/field",
            "/filter/0/equals",
            "/filter/1",
            "/filter/2/field",
            "/filter/2",
            "/filter/3",
            "/filter/4",
            "/filter/5/at_least",
            "/filter/6/one_of",
            "/filter/7/exists",
        ];
        assert_eq!(places, expected);
    }

    #[test]
    fn what_is_no_filter_or_too_large_is_refused() {
        let exists = |field: &str| json!([{"field": field, "exists": true}]);
        let texts = |count: usize| {
            let values: Vec<_> = (0..count).map(|_| "x".repeat(CHARS_MAX)).collect();
            json!({"field": "/a", "one_of": values})
        };
        for bad in [
            json!(null),
            json!([]),
            json!({}),
            json!(vec![json!({"field": "/a", "exists": true}); 11]),
            exists(""),
            exists("/a~"),
            exists("/a~2b"),
            exists("/a\0"),
            exists(&"/".repeat(CHARS_MAX + 1)),
            json!([{"field": "/a", "equals": "x".repeat(CHARS_MAX + 1)}]),
            json!([{"field": "/a", "equals": "\0"}]),
            json!([texts(VALUES_MAX + 1)]),
            json!(vec![texts(VALUES_MAX); 2]),
        ] {
            let mut faults = Faults::new();
            assert_eq!(Filter::parse(&bad, "", &mut faults), None, "{bad}");
            assert!(!faults.is_empty());
        }
        filter(json!([texts(VALUES_MAX)]));
        let odd_name = filter(exists("/a~1b/m~0n/0"));
        assert!(odd_name.holds(&json!({"a/b": {"m~n": [1]}})) && !odd_name.holds(&json!([])));
        let json = json!([{"field": "/a", "equals": null}]);
        assert_eq!(serde_json::to_value(filter(json.clone())).unwrap(), json);
    }

    fn scalars() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from),
        ]
    }

    fn values() -> impl Strategy<Value = Value> {
        scalars().prop_recursive(3, 20, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[ab~/]{0,2}", inner, 0..3)
                    .prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    /// Integers of all that JSON has: more than `i64`, less than `i128`.
    fn integers() -> impl Strategy<Value = (Value, i128)> {
        prop_oneof![
            any::<i64>().prop_map(|number| (json!(number), i128::from(number))),
            any::<u64>().prop_map(|number| (json!(number), i128::from(number))),
            (0_u64..3).prop_map(|more| (1 << 53) + more).prop_map(|n| (json!(n), i128::from(n))),
        ]
    }

    proptest! {
        #[test]
        fn integers_are_compared_exactly((found, a) in integers(), (wanted, b) in integers()) {
            let holds = |test: &str| {
                filter(json!([{"field": "/n", test: wanted}])).holds(&json!({"n": found}))
            };
            prop_assert_eq!(holds("at_least"), a >= b);
            prop_assert_eq!(holds("at_most"), a <= b);
            prop_assert_eq!(holds("equals"), a == b);
            prop_assert_eq!(holds("not_equals"), a != b);
        }

        #[test]
        fn any_body_is_judged_without_panic(
            field in "(/[ab01~]{0,2}){0,3}", test in "[a-z_]{0,3}|equals|not_equals|one_of|at_least|at_most|exists",
            wanted in values(), body in values(),
        ) {
            let mut faults = Faults::new();
            let parsed = Filter::parse(&json!([{"field": field.as_str(), test.as_str(): wanted}]), "", &mut faults);
            prop_assert_eq!(parsed.is_none(), !faults.is_empty());
            if let Some(filter) = parsed {
                let there = body.pointer(&field).is_some();
                let holds = filter.holds(&body);
                prop_assert!(there || !holds || test == "not_equals" || test == "exists");
                prop_assert_eq!(Filter::from_stored(&filter.to_json()), Some(filter));
            }
        }
    }
}
