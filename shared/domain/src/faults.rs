//! All faults of a request body at once, each with its JSON pointer (RFC 6901).

use std::fmt;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// JSON pointer into the body, `""` for the whole.
    pub pointer: String,
    /// What is wrong, as a phrase that completes "this …".
    pub detail: String,
}

/// Collects faults while a wire struct is parsed into domain types.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// More are not told: whoever sends so many does not read them.
    pub const COUNT_MAX: usize = 100;

    /// Nothing wrong yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Records a fault at `pointer`.
    pub fn push(&mut self, pointer: &str, detail: impl fmt::Display) {
        if self.0.len() >= Self::COUNT_MAX {
            return;
        }
        self.0.push(Fault { pointer: pointer.to_owned(), detail: detail.to_string() });
    }

    /// The value of `result`, or `None` with the error recorded at `pointer`.
    pub fn check<T, E: fmt::Display>(&mut self, pointer: &str, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.push(pointer, error);
                None
            }
        }
    }

    /// `value` if nothing was wrong and it is there, else the faults.
    ///
    /// # Errors
    /// All that was recorded.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self),
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults, in the order in which they were found.
    #[must_use]
    pub fn into_vec(self) -> Vec<Fault> {
        self.0
    }
}
