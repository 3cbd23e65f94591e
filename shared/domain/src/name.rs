//! Names that people type: bounded, trimmed, one line.

use std::fmt;
use std::str::FromStr;

/// A display name is empty, too long, or holds control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one line of 1 to {max} characters")]
pub struct NameError {
    /// The most characters allowed.
    pub max: usize,
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, max $max:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The most characters (Unicode scalar values) allowed; the migration's `CHECK` says the same.
            pub const LEN_MAX: usize = $max;

            /// The name, trimmed.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let text = text.trim();
                let length = text.chars().count();
                if length == 0 || length > $max || text.chars().any(char::is_control) {
                    return Err(NameError { max: $max });
                }
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

names! {
    /// What an organization calls itself.
    TenantName, max 100;
    /// What a person calls themselves.
    PersonName, max 100;
    /// What an API key is for.
    KeyName, max 100;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trims_and_refuses_control_characters() {
        assert_eq!(" Acme Corp ".parse::<TenantName>().unwrap().as_str(), "Acme Corp");
        for bad in ["", "   ", "two\nlines", "nul\0", &"x".repeat(101)] {
            assert!(bad.parse::<TenantName>().is_err());
        }
    }
}
