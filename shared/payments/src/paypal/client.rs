//! `PayPal`'s way of speaking HTTP: JSON both ways, and a token that is fetched first and lives for some hours.

use std::time::{Duration, Instant};

use domain::secret::Secret;
use http::{Method, StatusCode, header};
use reqwest::RequestBuilder;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::objects::{Link, link};
use crate::call::{self, Answer, Caller, bearing, short};
use crate::error::PaymentError;

/// A token is given up so long before its end, so that none ends on its way.
const BEFORE_END: Duration = Duration::from_secs(60);

/// How `PayPal` is reached.
pub(crate) struct Access {
    pub(crate) caller: Caller,
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret<String>,
}

/// The client.
#[derive(Debug)]
pub(super) struct Client {
    caller: Caller,
    client_id: String,
    client_secret: Secret<String>,
    /// Held while a new one is fetched, so that many who need one ask once.
    token: Mutex<Option<Token>>,
}

#[derive(Debug, Clone)]
struct Token {
    value: Secret<String>,
    ends: Instant,
}

#[derive(Deserialize)]
struct Granted {
    access_token: Secret<String>,
    #[serde(default)]
    expires_in: u32,
}

/// Why a call was refused.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Refusal {
    #[serde(skip)]
    pub(super) status: u16,
    #[serde(default)]
    name: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Vec<Detail>,
    #[serde(default)]
    links: Vec<Link>,
}

#[derive(Debug, Deserialize)]
struct Detail {
    #[serde(default)]
    issue: String,
    #[serde(default)]
    description: String,
}

impl Refusal {
    /// The most telling word for it: a detail's, where there is one.
    pub(super) fn code(&self) -> String {
        short(self.details.first().map_or(&self.name, |detail| &detail.issue))
    }

    pub(super) fn link(&self, rel: &str) -> Option<String> {
        link(&self.links, rel)
    }
}

impl call::Refusal for Refusal {
    fn status(&self) -> u16 {
        self.status
    }

    fn into_error(self) -> PaymentError {
        let message = self.details.first().map_or(&self.message, |detail| &detail.description);
        PaymentError::Refused { code: self.code(), message: short(message) }
    }
}

/// Why a call of `PayPal` came to nothing.
pub(super) type Failure = call::Failure<Refusal>;

impl Client {
    pub(super) fn new(access: Access) -> Self {
        let Access { caller, client_id, client_secret } = access;
        Self { caller, client_id, client_secret, token: Mutex::new(None) }
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, Failure> {
        let request = || self.caller.request_with(Method::GET, path, query);
        Ok(self.exchange(request).await?.json()?)
    }

    /// `key`: under which a second call does nothing more, for some hours.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
        key: Option<&str>,
    ) -> Result<T, Failure> {
        let request = || {
            let request = self.caller.request(Method::POST, path).json(body);
            let request = request.header("prefer", "return=representation");
            match key {
                Some(key) => request.header("paypal-request-id", key),
                None => request,
            }
        };
        Ok(self.exchange(request).await?.json()?)
    }

    pub(super) async fn patch(&self, path: &[&str], body: &impl Serialize) -> Result<(), Failure> {
        self.exchange(|| self.caller.request(Method::PATCH, path).json(body)).await.map(drop)
    }

    pub(super) async fn delete(&self, path: &[&str]) -> Result<(), Failure> {
        self.exchange(|| self.caller.request(Method::DELETE, path)).await.map(drop)
    }

    /// A call, once more with a new token if the one that we have is taken no longer.
    async fn exchange(&self, request: impl Fn() -> RequestBuilder) -> Result<Answer, Failure> {
        let token = self.token(None).await?;
        let mut answer = self.caller.send(bearing(request(), &token)).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            let token = self.token(Some(&token)).await?;
            answer = self.caller.send(bearing(request(), &token)).await?;
        }
        if answer.status.is_success() {
            return Ok(answer);
        }
        let mut refusal: Refusal = answer.json()?;
        refusal.status = answer.status.as_u16();
        if answer.status == StatusCode::CONFLICT {
            let busy = format!("another call is under way ({})", refusal.code());
            return Err(Failure::Other(PaymentError::Unavailable(busy)));
        }
        Err(Failure::Refused(Box::new(refusal)))
    }

    /// A token that is taken, as far as we know; another than `refused`.
    async fn token(
        &self,
        refused: Option<&Secret<String>>,
    ) -> Result<Secret<String>, PaymentError> {
        let mut held = self.token.lock().await;
        if let Some(token) = &*held
            && token.ends > Instant::now()
            && refused != Some(&token.value)
        {
            return Ok(token.value.clone());
        }
        let request = self
            .caller
            .request(Method::POST, &["v1", "oauth2", "token"])
            .basic_auth(&self.client_id, Some(self.client_secret.expose()))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials");
        let answer = self.caller.send(request).await?;
        if !answer.status.is_success() {
            // Whatever it says of it: a wrong client or secret.
            answer.json::<IgnoredAny>()?;
            return Err(PaymentError::Refused {
                code: "invalid_client".to_owned(),
                message: "PayPal does not take payments.paypal.client_id and client_secret"
                    .to_owned(),
            });
        }
        let granted: Granted = answer.json()?;
        let lives = Duration::from_secs(granted.expires_in.into()).saturating_sub(BEFORE_END);
        let token = Token { value: granted.access_token, ends: Instant::now() + lives };
        Ok(held.insert(token).value.clone())
    }
}
