//! A tenant's time zone, by its IANA name. Looked up in the database that is compiled in, never in the
//! machine's: every process of a release agrees, and `localtime` names nothing.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// What the IANA database lists beside the zones of places: "none was set".
const NO_ZONES: [&str; 2] = ["Etc/Unknown", "Factory"];

/// A text is no time zone's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an IANA time zone such as `Europe/Berlin`")]
pub struct TimeZoneError;

/// A time zone that is known to exist, as its name and its rules.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamedTimeZone {
    name: String,
    zone: TimeZone,
}

impl NamedTimeZone {
    /// The most characters of a name; the migration's `CHECK` says the same.
    pub const LEN_MAX: usize = 64;

    /// The name, in the database's own spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Its rules.
    #[must_use]
    pub const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The day of its calendar in which `at` is.
    #[must_use]
    pub fn day_of(&self, at: Timestamp) -> Date {
        at.to_zoned(self.zone.clone()).date()
    }

    /// When a day of its calendar begins, which need not be at midnight; `None` at the end of all calendars.
    #[must_use]
    pub fn begin_of(&self, day: Date) -> Option<Timestamp> {
        day.to_zoned(self.zone.clone()).ok().map(|begin| begin.timestamp())
    }
}

impl FromStr for NamedTimeZone {
    type Err = TimeZoneError;

    fn from_str(text: &str) -> Result<Self, TimeZoneError> {
        if text.len() > Self::LEN_MAX {
            return Err(TimeZoneError);
        }
        let zone = TimeZoneDatabase::bundled().get(text).map_err(|_| TimeZoneError)?;
        let name = zone.iana_name().ok_or(TimeZoneError)?.to_owned();
        if NO_ZONES.contains(&name.as_str()) {
            return Err(TimeZoneError);
        }
        Ok(Self { name, zone })
    }
}

impl TryFrom<String> for NamedTimeZone {
    type Error = TimeZoneError;

    fn try_from(text: String) -> Result<Self, TimeZoneError> {
        text.parse()
    }
}

impl From<NamedTimeZone> for String {
    fn from(zone: NamedTimeZone) -> Self {
        zone.name
    }
}

impl fmt::Display for NamedTimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling() {
        for (text, name) in
            [("europe/berlin", "Europe/Berlin"), ("utc", "UTC"), ("Asia/Kolkata", "Asia/Kolkata")]
        {
            assert_eq!(text.parse::<NamedTimeZone>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn what_depends_on_the_machine_or_is_no_place_is_refused() {
        let long = "x".repeat(65);
        for text in [
            "",
            " UTC",
            "localtime",
            "posixrules",
            "Factory",
            "etc/unknown",
            "Mars/Base",
            "UTC+1",
            &long,
        ] {
            assert!(text.parse::<NamedTimeZone>().is_err(), "{text}");
        }
    }
}
