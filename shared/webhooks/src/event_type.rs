//! Names of events, and patterns over them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 100;

/// What kind of event: `invoice.paid`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventType(String);

/// Which events are wanted: `invoice.paid` itself, `invoice.*` for all that begins so, `*` for all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum EventPattern {
    /// All events.
    All,
    /// Those whose name begins with this, a dot, and more.
    Under(String),
    /// This one.
    One(EventType),
}

/// Not the name of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be words of `a` to `z`, `0` to `9` and `_` with dots between, such as `invoice.paid`"
)]
pub struct EventTypeError;

/// Not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be an event type such as `invoice.paid`, all that begin alike such as `invoice.*`, or `*`"
)]
pub struct EventPatternError;

/// Words with dots between.
fn is_path(text: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    text.len() <= NAME_CHARS_MAX && text.split('.').all(word)
}

impl EventType {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventType {
    type Err = EventTypeError;

    fn from_str(text: &str) -> Result<Self, EventTypeError> {
        if is_path(text) && text.contains('.') {
            Ok(Self(text.to_owned()))
        } else {
            Err(EventTypeError)
        }
    }
}

impl EventPattern {
    /// Whether `event_type` is one of those.
    #[must_use]
    pub fn matches(&self, event_type: &EventType) -> bool {
        match self {
            Self::All => true,
            Self::Under(path) => {
                event_type.0.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('.'))
            }
            Self::One(wanted) => wanted == event_type,
        }
    }
}

impl FromStr for EventPattern {
    type Err = EventPatternError;

    fn from_str(text: &str) -> Result<Self, EventPatternError> {
        if text == "*" {
            return Ok(Self::All);
        }
        if let Some(path) = text.strip_suffix(".*") {
            return if is_path(path) {
                Ok(Self::Under(path.to_owned()))
            } else {
                Err(EventPatternError)
            };
        }
        text.parse().map(Self::One).map_err(|_| EventPatternError)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Under(path) => write!(f, "{path}.*"),
            Self::One(event_type) => event_type.fmt(f),
        }
    }
}

impl TryFrom<String> for EventType {
    type Error = EventTypeError;

    fn try_from(text: String) -> Result<Self, EventTypeError> {
        text.parse()
    }
}

impl TryFrom<String> for EventPattern {
    type Error = EventPatternError;

    fn try_from(text: String) -> Result<Self, EventPatternError> {
        text.parse()
    }
}

impl From<EventType> for String {
    fn from(event_type: EventType) -> Self {
        event_type.0
    }
}

impl From<EventPattern> for String {
    fn from(pattern: EventPattern) -> Self {
        pattern.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern.parse::<EventPattern>().unwrap().matches(&name.parse().unwrap())
    }

    #[test]
    fn a_wildcard_stands_for_whole_words() {
        assert!(matches("*", "invoice.paid") && matches("invoice.*", "invoice.paid"));
        assert!(
            matches("invoice.*", "invoice.line.added") && matches("invoice.paid", "invoice.paid")
        );
        assert!(
            !matches("invoice.*", "invoices.paid") && !matches("invoice.line.*", "invoice.line")
        );
        assert!(!matches("invoice.paid", "invoice.paid.twice"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for bad in
            ["", "invoice", "Invoice.paid", ".paid", "invoice.", "a..b", "a.b c", "é.b", "a.*"]
        {
            assert!(bad.parse::<EventType>().is_err(), "{bad}");
        }
        for bad in ["", "invoice", "**", "*.paid", "invoice*", ".*", "a.*.b", "a..*"] {
            assert!(bad.parse::<EventPattern>().is_err(), "{bad}");
        }
        assert!(format!("a.{}", "b".repeat(98)).parse::<EventType>().is_ok());
        assert!(format!("a.{}", "b".repeat(99)).parse::<EventType>().is_err());
    }

    #[test]
    fn in_json_both_are_text() {
        let json = r#"["*","invoice.*","invoice.paid"]"#;
        let patterns: Vec<EventPattern> = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&patterns).unwrap(), json);
        let event_type: EventType = serde_json::from_str(r#""invoice.paid""#).unwrap();
        assert_eq!(patterns.last(), Some(&EventPattern::One(event_type)));
        assert!(serde_json::from_str::<EventPattern>(r#""invoice""#).is_err());
        assert!(serde_json::from_str::<EventType>(r#""invoice.*""#).is_err());
    }

    proptest! {
        #[test]
        fn patterns_agree_with_the_words(
            name in prop::collection::vec("[ab]{1,2}", 2..5),
            path in prop::collection::vec("[ab]{1,2}", 1..4),
        ) {
            let pattern = format!("{}.*", path.join("."));
            let expected = name.len() > path.len() && name[..path.len()] == path[..];
            prop_assert_eq!(matches(&pattern, &name.join(".")), expected);
        }

        #[test]
        fn one_matches_itself_only_and_all_everything(one in "[ab]{1,2}\\.[ab]{1,2}", other in "[ab]{1,2}\\.[ab]{1,2}") {
            prop_assert_eq!(matches(&one, &other), one == other);
            prop_assert!(matches("*", &one));
        }

        #[test]
        fn text_round_trips_and_nothing_panics(text in "[a-z.*_]{0,12}|\\PC{0,8}") {
            if let Ok(pattern) = text.parse::<EventPattern>() {
                prop_assert_eq!(pattern.to_string(), text);
            }
        }
    }
}
