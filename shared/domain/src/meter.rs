//! Meters: what is counted for a tenant, by the unit and by the billing period.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

/// What every request of a tenant adds one to.
pub const API_CALLS: &str = "api_calls";
/// Counts the different people among the callers.
pub const ACTIVE_USERS: &str = "active_users";

/// How a meter's counts become one figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// The sum of the quantities.
    Sum,
    /// The number of events, whatever their quantities.
    Count,
    /// The greatest quantity.
    Max,
    /// The latest quantity: a level, such as storage.
    Latest,
    /// The number of different values.
    Unique,
}

/// Who counts a meter, and nobody else, so that nothing is counted twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeterSource {
    /// The edges, by routes.
    Edge,
    /// Applications, by the events that they send.
    Events,
    /// The sender of webhooks.
    Webhooks,
    /// The database: a number of rows.
    Derived,
}

impl Aggregation {
    const ALL: [Self; 5] = [Self::Sum, Self::Count, Self::Max, Self::Latest, Self::Unique];

    /// The spelling in the catalogue, the database and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Count => "count",
            Self::Max => "max",
            Self::Latest => "latest",
            Self::Unique => "unique",
        }
    }

    /// What is spelled `text`.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|aggregation| aggregation.as_str() == text)
    }
}

impl MeterSource {
    const ALL: [Self; 4] = [Self::Edge, Self::Events, Self::Webhooks, Self::Derived];

    /// The spelling in the catalogue, the database and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Events => "events",
            Self::Webhooks => "webhooks",
            Self::Derived => "derived",
        }
    }

    /// What is spelled `text`.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == text)
    }
}

/// The meter that every plan knows: nearly all tenants hold its name, so they hold it together.
static MESSAGES: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("messages"));

/// A meter's name. Copies share the text.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct MeterName(Arc<str>);

/// Not a meter's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {} lower-case letters, digits and `_`, a letter first", MeterName::LEN_MAX)]
pub struct MeterNameError;

impl MeterName {
    /// The most characters.
    pub const LEN_MAX: usize = 40;

    /// Messages, whose count a plan states as `messages_per_month`.
    #[must_use]
    pub fn messages() -> Self {
        Self(Arc::clone(&MESSAGES))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MeterName {
    type Err = MeterNameError;

    fn from_str(text: &str) -> Result<Self, MeterNameError> {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let good = text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.len() <= Self::LEN_MAX
            && text.bytes().all(known);
        match (good, text == &**MESSAGES) {
            (false, _) => Err(MeterNameError),
            (true, true) => Ok(Self::messages()),
            (true, false) => Ok(Self(Arc::from(text))),
        }
    }
}

impl TryFrom<String> for MeterName {
    type Error = MeterNameError;

    fn try_from(text: String) -> Result<Self, MeterNameError> {
        text.parse()
    }
}

impl From<MeterName> for String {
    fn from(name: MeterName) -> Self {
        name.as_str().to_owned()
    }
}

/// So that names are looked up by their text.
impl Borrow<str> for MeterName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for MeterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn copies_and_the_meter_of_every_plan_share_their_text() {
        let messages: MeterName = "messages".parse().unwrap();
        assert!(Arc::ptr_eq(&messages.0, &MeterName::messages().0));
        let other: MeterName = "storage_gb_2".parse().unwrap();
        assert!(Arc::ptr_eq(&other.0, &other.clone().0));
        assert_eq!(serde_json::to_string(&other).unwrap(), r#""storage_gb_2""#);
    }

    #[test]
    fn spellings_are_read_back() {
        let found = |text: &str| Aggregation::named(text).map(Aggregation::as_str);
        for aggregation in Aggregation::ALL {
            assert_eq!(found(aggregation.as_str()), Some(aggregation.as_str()));
        }
        for source in MeterSource::ALL {
            assert_eq!(MeterSource::named(source.as_str()), Some(source));
        }
        assert_eq!((found("Sum"), MeterSource::named("")), (None, None));
    }

    #[test]
    fn bad_names() {
        let long = "x".repeat(MeterName::LEN_MAX + 1);
        for bad in ["", "_a", "1a", "Messages", "a-b", "a b", "é", "a\n", long.as_str()] {
            let text = serde_json::to_string(bad).unwrap();
            assert!(serde_json::from_str::<MeterName>(&text).is_err(), "{bad:?}");
        }
        assert_eq!(
            "".parse::<MeterName>().unwrap_err().to_string(),
            "must be 1 to 40 lower-case letters, digits and `_`, a letter first"
        );
    }

    proptest! {
        #[test]
        fn every_name_is_read_back(text in "[a-z][a-z0-9_]{0,39}") {
            let name: MeterName = text.parse().unwrap();
            prop_assert_eq!(name.to_string(), text.clone());
            let json = serde_json::to_string(&name).unwrap();
            prop_assert_eq!(serde_json::from_str::<MeterName>(&json).unwrap(), name);
        }

        #[test]
        fn nothing_else_is_a_name(text in "\\PC{0,45}") {
            let form = |text: &str| {
                let mut bytes = text.bytes();
                bytes.next().is_some_and(|first| first.is_ascii_lowercase())
                    && bytes.all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
            };
            prop_assert_eq!(text.parse::<MeterName>().is_ok(), form(&text) && text.len() <= 40);
        }
    }
}
