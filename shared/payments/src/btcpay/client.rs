//! The Greenfield API's way of speaking HTTP: JSON both ways, and lists by how many to skip.

use domain::secret::Secret;
use http::{Method, StatusCode, header};
use reqwest::RequestBuilder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::call::{Caller, short};
use crate::error::PaymentError;

/// Objects a page of a list, so that a page stays well below what is read of an answer.
const PAGE_OBJECTS: usize = 50;

/// How the server is reached.
pub(crate) struct Access {
    pub(crate) caller: Caller,
    pub(crate) api_key: Secret<String>,
    pub(crate) store_id: String,
}

/// The client.
#[derive(Debug)]
pub(super) struct Client {
    caller: Caller,
    api_key: Secret<String>,
    store_id: String,
}

/// Why a call was refused: a problem, or a list of what is wrong with which field.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Refusal {
    Problem { code: Option<String>, message: Option<String> },
    Fields(Vec<Field>),
}

#[derive(Debug, Deserialize)]
struct Field {
    path: Option<String>,
    message: Option<String>,
}

impl Client {
    pub(super) fn new(access: Access) -> Self {
        let Access { caller, api_key, store_id } = access;
        Self { caller, api_key, store_id }
    }

    pub(super) fn store_id(&self) -> &str {
        &self.store_id
    }

    /// What there is at a path, or that there is nothing.
    pub(super) async fn find<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Option<T>, PaymentError> {
        self.exchange(self.caller.request_with(Method::GET, &versioned(path), query)).await
    }

    /// The same, of our store.
    pub(super) async fn find_in_store<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Option<T>, PaymentError> {
        self.find(&self.in_store(path), query).await
    }

    /// A whole list of our store, newest first.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Vec<T>, PaymentError> {
        let mut all: Vec<T> = Vec::new();
        loop {
            let (skip, take) = (all.len().to_string(), PAGE_OBJECTS.to_string());
            let paged = [query, &[("skip", skip.as_str()), ("take", take.as_str())]].concat();
            let page: Vec<T> = self.find_in_store(path, &paged).await?.ok_or_else(no_store)?;
            let is_last = page.len() < PAGE_OBJECTS;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// `None`: there is no such thing.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<Option<T>, PaymentError> {
        let path = versioned(&self.in_store(path)).to_vec();
        self.exchange(self.caller.request(Method::POST, &path).json(body)).await
    }

    fn in_store<'a>(&'a self, path: &[&'a str]) -> Vec<&'a str> {
        [&["stores", self.store_id.as_str()], path].concat()
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<Option<T>, PaymentError> {
        let mut key = header::HeaderValue::try_from(format!("token {}", self.api_key.expose()))
            .map_err(|_| PaymentError::Unsupported("payments.btcpay.api_key is no API key"))?;
        key.set_sensitive(true);
        let answer = self.caller.send(request.header(header::AUTHORIZATION, key)).await?;
        if answer.status.is_success() {
            return Ok(Some(answer.json()?));
        }
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        // Without a key that is taken it says nothing more.
        let status = answer.status.as_u16();
        let (code, message) = match answer.json() {
            Ok(Refusal::Problem { code, message }) => (code, message),
            Ok(Refusal::Fields(fields)) => {
                let first = fields.into_iter().next();
                first.map_or((None, None), |field| (field.path, field.message))
            }
            Err(_) => (None, None),
        };
        Err(PaymentError::Refused {
            code: short(&code.unwrap_or_else(|| status.to_string())),
            message: short(&message.unwrap_or_default()),
        })
    }
}

/// The store of the settings is not there, or not for this key.
pub(super) fn no_store() -> PaymentError {
    PaymentError::Refused {
        code: "404".to_owned(),
        message: "BTCPay Server knows no store payments.btcpay.store_id, or no such thing in it"
            .to_owned(),
    }
}

fn versioned<'a>(path: &[&'a str]) -> Vec<&'a str> {
    [&["api", "v1"], path].concat()
}
