//! What a server answered.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// A server's answer, whatever its status; redirects too are answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// When the server wants to be called again; `None` also when it does not say so intelligibly.
    pub retry_after: Option<RetryAfter>,
    /// The body as it was sent, never decompressed; at most [`crate::Config::answer_bytes_max`] bytes.
    pub body: Vec<u8>,
    /// Whether there was more of the body.
    pub cut: bool,
    /// From the call to the answer's head.
    pub first_byte_after: Duration,
    /// From the call to the end of what was read.
    pub took: Duration,
}

/// The `Retry-After` header (RFC 9110, 10.2.3). As the server gave it: it may be absurdly far or long past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// So many seconds after the answer.
    Seconds(u64),
    /// Not before.
    At(Timestamp),
}

impl RetryAfter {
    /// How long to wait from `now`, when the answer came; nothing if the time is past.
    #[must_use]
    pub fn from(self, now: Timestamp) -> Duration {
        match self {
            Self::Seconds(seconds) => Duration::from_secs(seconds),
            Self::At(at) => Duration::try_from(at.duration_since(now)).unwrap_or_default(),
        }
    }

    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // Too many digits still say "very long".
            return Some(Self::Seconds(text.parse().unwrap_or(u64::MAX)));
        }
        // HTTP's date is a form of the mail date; servers get the weekday wrong, and it adds nothing.
        DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok().map(Self::At)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<RetryAfter> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, text.parse().unwrap());
        RetryAfter::of(&headers)
    }

    #[test]
    fn both_forms_of_retry_after() {
        let at = Some(RetryAfter::At("1994-11-06T08:49:37Z".parse().unwrap()));
        assert_eq!(RetryAfter::of(&HeaderMap::new()), None);
        assert_eq!(parse("120"), Some(RetryAfter::Seconds(120)));
        assert_eq!(parse(" 0 "), Some(RetryAfter::Seconds(0)));
        assert_eq!(parse("99999999999999999999999"), Some(RetryAfter::Seconds(u64::MAX)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT"), at);
        assert_eq!(parse("Mon, 06 Nov 1994 08:49:37 GMT"), at);
        for nonsense in ["", "-1", "1.5", "+3", "soon", "Sun, 99 Nov 1994 08:49:37 GMT", "1e9"] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_time_becomes_a_wait() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let at = |text: &str| RetryAfter::At(text.parse().unwrap()).from(now);
        assert_eq!(RetryAfter::Seconds(3).from(now), Duration::from_secs(3));
        assert_eq!(at("2026-01-01T00:01:00Z"), Duration::from_secs(60));
        assert_eq!(at("2025-01-01T00:00:00Z"), Duration::ZERO);
    }
}
