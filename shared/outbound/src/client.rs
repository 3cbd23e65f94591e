//! The client: policy before the call, bounds around it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::destination::{Destination, DestinationPolicy, Refused};
use http::Method;
use http::header::{self, HeaderMap, HeaderName};
use reqwest::{Certificate, redirect, retry};

use crate::answer::{Answer, RetryAfter};
use crate::config::Config;
use crate::failure::Failure;
use crate::look_up::{LookUp, Reach, Resolver, System};

/// How long an idle connection is kept. Short, as tenants can name any number of hosts.
const IDLE_FOR: Duration = Duration::from_secs(30);

/// Headers that say where a message ends, or where it goes: a caller's would contradict the client's own.
const CLIENTS_OWN: [HeaderName; 10] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Calls URLs that tenants name. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    policy: Arc<DestinationPolicy>,
    timeout: Duration,
    answer_bytes_max: usize,
    // A resolver is told a name, not the scheme and the port it is for, but a public address may be called by https
    // and at some ports only. So there are two clients, and the URL's form says which one takes it. They share no
    // connections, and need not: a scheme, host and port always go to the same one.
    to_public: reqwest::Client,
    to_allowed_networks: reqwest::Client,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The process has not chosen a provider of cryptography for rustls.
    #[error("no provider of cryptography is installed")]
    NoCryptoProvider,
    /// An extra root or the user agent is malformed, or there are no certificates to trust.
    #[error("the HTTP client could not be built")]
    Build(#[source] reqwest::Error),
}

impl Client {
    /// A client that asks the system's name servers.
    ///
    /// # Errors
    /// As [`BuildError`].
    pub fn new(config: Config) -> Result<Self, BuildError> {
        Self::with_look_up(config, Arc::new(System))
    }

    /// A client that asks `look_up`; its answers are judged like any other.
    ///
    /// # Errors
    /// As [`BuildError`].
    pub fn with_look_up(config: Config, look_up: Arc<dyn LookUp>) -> Result<Self, BuildError> {
        // reqwest would panic.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(BuildError::NoCryptoProvider);
        }
        let policy = Arc::new(config.policy.clone());
        let build = |reach| {
            let resolver = Resolver { look_up: look_up.clone(), policy: policy.clone(), reach };
            build(&config, resolver).map_err(BuildError::Build)
        };
        Ok(Self {
            timeout: config.timeout,
            answer_bytes_max: config.answer_bytes_max,
            to_public: build(Reach::Public)?,
            to_allowed_networks: build(Reach::AllowedNetworks)?,
            policy,
        })
    }

    /// Posts `body`. Headers that frame or route a message (`Host`, `Content-Length` and so on) are the client's own
    /// and taken out of `headers`.
    ///
    /// # Errors
    /// When no whole answer came. An answer is one whatever its status, so a 500 is no error.
    pub async fn post(
        &self,
        destination: &Destination,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Failure> {
        self.send(Method::POST, destination, headers, body).await
    }

    async fn send(
        &self,
        method: Method,
        destination: &Destination,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Failure> {
        // The resolver never sees an address that stands in the URL, so this is the only look at it.
        self.policy.check(destination).map_err(Failure::Refused)?;
        let (client, if_none_admitted) = match self.policy.check_form(destination) {
            Ok(()) => (&self.to_public, Refused::Address),
            Err(refused) => (&self.to_allowed_networks, refused),
        };
        for name in &CLIENTS_OWN {
            headers.remove(name);
        }
        let request = client.request(method, destination.url().clone()).headers(headers).body(body);
        // Dropped when late, and with it the connection.
        match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Failure::of(&error, if_none_admitted)),
            Err(_late) => Err(Failure::Timeout),
        }
    }

    async fn exchange(&self, request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
        let start = Instant::now();
        let mut response = request.send().await?;
        let first_byte_after = start.elapsed();
        let mut body = Vec::new();
        let mut cut = false;
        while let Some(chunk) = response.chunk().await? {
            let room = self.answer_bytes_max - body.len();
            body.extend_from_slice(&chunk[..room.min(chunk.len())]);
            if chunk.len() > room {
                cut = true;
                break;
            }
        }
        let retry_after = RetryAfter::of(response.headers());
        let status = response.status();
        Ok(Answer { status, retry_after, body, cut, first_byte_after, took: start.elapsed() })
    }
}

fn build(config: &Config, resolver: Resolver) -> Result<reqwest::Client, reqwest::Error> {
    let roots: Result<Vec<_>, _> =
        config.extra_roots.iter().map(|root| Certificate::from_der(root)).collect();
    reqwest::Client::builder()
        .user_agent(&config.user_agent)
        .dns_resolver(resolver)
        .tls_certs_merge(roots?)
        // A redirect would be a second URL, which nobody checked; it is an answer.
        .redirect(redirect::Policy::none())
        .referer(false)
        // A proxy, also one of the environment, would look names up for itself.
        .no_proxy()
        // Whether a call is made again is the caller's business.
        .retry(retry::never())
        // With HTTP/2 one stuck connection would hold up every call to its host.
        .http1_only()
        .connect_timeout(config.connect_timeout)
        .pool_idle_timeout(IDLE_FOR)
        .pool_max_idle_per_host(config.idle_per_host)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_cryptography_there_is_no_client_and_no_panic() {
        let config = Config::new(DestinationPolicy::default(), "pytake-test".into());
        assert!(matches!(Client::new(config), Err(BuildError::NoCryptoProvider)));
    }
}
