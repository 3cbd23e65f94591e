//! What the edge answered.

use http::HeaderMap;
use serde_json::Value;

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub body: String,
}

impl Answer {
    /// The header's value; empty when it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.body) {
            Ok(json) => json,
            Err(error) => {
                panic!("{} with a body that is not JSON ({error}): {}", self.status, self.body)
            }
        }
    }

    /// A text field of the body, by JSON pointer.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn text(&self, pointer: &str) -> String {
        let json = self.json();
        let found = json.pointer(pointer).and_then(Value::as_str);
        found
            .unwrap_or_else(|| panic!("no text at {pointer} in {}: {json}", self.status))
            .to_owned()
    }

    /// The same answer, if its status is this one.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// Status and slug of a problem document, which must be well-formed, e.g. `403 tenant-mismatch`.
    ///
    /// # Panics
    /// When the answer is no problem document, or contradicts itself.
    #[must_use]
    #[track_caller]
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let json = self.json();
        let slug = json["type"].as_str().and_then(|url| url.strip_prefix("/docs/problems/"));
        let slug = slug.unwrap_or_else(|| panic!("no problem type in {json}"));
        assert_eq!(json["status"], self.status, "{json}");
        assert_eq!(json["request_id"], self.header("x-request-id"), "{json}");
        assert!(json["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{json}");
        format!("{} {slug}", self.status)
    }

    /// The pointers of a problem's faults, in the answer's order.
    #[must_use]
    pub fn fault_pointers(&self) -> Vec<String> {
        let json = self.json();
        let faults = json["errors"].as_array().cloned().unwrap_or_default();
        faults.iter().filter_map(|fault| fault["pointer"].as_str().map(str::to_owned)).collect()
    }
}
