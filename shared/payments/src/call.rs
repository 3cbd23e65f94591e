//! One HTTP exchange with a provider: bounded in time and size, never redirected, never repeated by itself.
//!
//! Neither requests nor answers are logged or put into errors: they hold keys and people's data.

use std::time::Duration;

use domain::secret::Secret;
use http::header::{self, HeaderMap};
use http::{Method, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::{RequestBuilder, redirect, retry};
use serde::de::DeserializeOwned;
use url::Url;

use crate::error::PaymentError;
use crate::settings::ProvidersError;

/// The most bytes of an answer that are read. A page of a list is a tenth of it.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// For the look-up, the connection and the TLS handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest text of a provider's that is kept: columns and logs have bounds.
const TEXT_CHARS_MAX: usize = 200;

/// Calls one provider.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    client: reqwest::Client,
    base: Url,
}

impl Caller {
    /// A caller of what lies below `base`.
    pub(crate) fn new(base: Url, timeout: Duration) -> Result<Self, ProvidersError> {
        // reqwest would panic.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(ProvidersError::Client("no provider of cryptography is installed".into()));
        }
        let client = reqwest::Client::builder()
            .user_agent(concat!("pytake/", env!("CARGO_PKG_VERSION")))
            // An answer that sends us elsewhere would take the key there.
            .redirect(redirect::Policy::none())
            .referer(false)
            // Where calls go is in the settings, and nowhere else.
            .no_proxy()
            // Whether a charge is asked for again is its caller's business.
            .retry(retry::never())
            // With HTTP/2 one stuck connection would hold up every call.
            .http1_only()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .build()
            .map_err(|error| ProvidersError::Client(error.to_string()))?;
        Ok(Self { client, base })
    }

    /// Whom it calls.
    pub(crate) fn host(&self) -> Option<&str> {
        self.base.host_str()
    }

    /// A request to the path of these segments. They may be ids that came from outside: none leaves its place.
    pub(crate) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.request_with(method, path, &[])
    }

    /// The same, with a query.
    pub(crate) fn request_with(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.client.request(method, url)
    }

    /// Sends it. An answer is one whatever its status, except that the provider has no time or is at fault.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Answer, PaymentError> {
        let mut response = request.send().await.map_err(|error| unavailable(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unavailable(&error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(PaymentError::Unavailable(format!(
                    "its answer is longer than {ANSWER_BYTES_MAX} bytes"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(PaymentError::RateLimited { retry_after: retry_after(response.headers()) });
        }
        // A redirect is no answer of an API: a gateway in between is in the way.
        if status.is_server_error()
            || status.is_redirection()
            || status == StatusCode::REQUEST_TIMEOUT
        {
            return Err(PaymentError::Unavailable(format!("it answered {}", status.as_u16())));
        }
        Ok(Answer { status, body })
    }
}

/// What a provider answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    body: Vec<u8>,
}

impl Answer {
    /// The body. What cannot be read says nothing about what was done.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, PaymentError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // The error's own text would quote the body.
            PaymentError::Unavailable(format!(
                "its answer ({}) is not what is expected, at line {} column {}",
                self.status.as_u16(),
                error.line(),
                error.column()
            ))
        })
    }
}

/// How a provider says that it understood, and refuses.
pub(crate) trait Refusal {
    /// The status that it came with.
    fn status(&self) -> u16;

    /// As an error: the call is wrong.
    fn into_error(self) -> PaymentError;
}

/// Why a call came to nothing.
#[derive(Debug)]
pub(crate) enum Failure<R> {
    /// The provider refused.
    Refused(Box<R>),
    /// All else.
    Other(PaymentError),
}

impl<R> From<PaymentError> for Failure<R> {
    fn from(error: PaymentError) -> Self {
        Self::Other(error)
    }
}

impl<R: Refusal> From<Failure<R>> for PaymentError {
    fn from(failure: Failure<R>) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal.into_error(),
            Failure::Other(error) => error,
        }
    }
}

/// What there is, or that there is none.
pub(crate) fn found<T, R: Refusal>(got: Result<T, Failure<R>>) -> Result<Option<T>, PaymentError> {
    match got {
        Ok(object) => Ok(Some(object)),
        Err(Failure::Refused(refusal)) if refusal.status() == StatusCode::NOT_FOUND => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

/// In our words: those of the library hold the URL.
fn unavailable(error: &reqwest::Error) -> PaymentError {
    let what = if error.is_timeout() {
        "no answer came in time"
    } else if error.is_connect() {
        "no connection could be made"
    } else {
        "the connection broke off"
    };
    PaymentError::Unavailable(what.to_owned())
}

/// Until when no call is wanted (RFC 9110, 10.2.3). A date is held against the answer's own, so that no clock is asked.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let time = |text: &str| -> Option<Timestamp> {
        DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok()
    };
    let now = time(headers.get(header::DATE)?.to_str().ok()?)?;
    Some(Duration::try_from(time(text)?.duration_since(now)).unwrap_or_default())
}

/// A provider's text, short enough to be kept.
pub(crate) fn short(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

/// Adds a secret as the bearer of the call; it is kept out of debug output.
pub(crate) fn bearing(request: RequestBuilder, secret: &Secret<String>) -> RequestBuilder {
    request.bearer_auth(secret.expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(retry_after_text: &str, date: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, retry_after_text.parse().unwrap());
        headers.insert(header::DATE, date.parse().unwrap());
        retry_after(&headers)
    }

    #[test]
    fn both_forms_of_retry_after() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(parse("120", date), Some(Duration::from_secs(120)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:50:37 GMT", date), Some(Duration::from_secs(60)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:00:00 GMT", date), Some(Duration::ZERO));
        for nonsense in ["", "-1", "1.5", "soon"] {
            assert_eq!(parse(nonsense, date), None, "{nonsense}");
        }
    }

    #[test]
    fn an_id_never_leaves_its_place_in_the_path() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let base: Url = "https://pay.example/prefix/".parse().unwrap();
        let caller = Caller::new(base, Duration::from_secs(1)).unwrap();
        let path = |id: &str| {
            let request = caller.request_with(Method::GET, &["v1", "things", id], &[("a", "b&c")]);
            request.build().unwrap().url().to_string()
        };
        assert_eq!(path("pi_1"), "https://pay.example/prefix/v1/things/pi_1?a=b%26c");
        assert_eq!(path("../x?y#z"), "https://pay.example/prefix/v1/things/..%2Fx%3Fy%23z?a=b%26c");
        assert!(path("..").starts_with("https://pay.example/prefix/v1/things"));
    }
}
