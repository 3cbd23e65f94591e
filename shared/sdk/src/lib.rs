//! For applications behind the PyTake edge: verify who is calling, and for which tenant.
//!
//! The edge signs a statement about each request ([`EdgeContext`]). An application that trusts nothing else
//! cannot be reached past the edge, and cannot be talked into another tenant by a header:
//!
//! ```
//! use pytake::{ContextVerifier, Permission};
//!
//! # fn handle(request: http::Request<()>, now: jiff::Timestamp, keys: &str) -> Result<(), Box<dyn std::error::Error>> {
//! // Once, at start: the pool's name in config/routes.toml, and what `pytake-proxy pool-keys whatsapp` prints.
//! let verifier = ContextVerifier::from_hex("whatsapp", keys)?;
//!
//! // On each request:
//! let (parts, _body) = request.into_parts();
//! let context = verifier.verify(&parts, now)?;
//! if !context.principal.permissions().contains(Permission::SendMessages) {
//!     return Err("403".into());
//! }
//! println!("sending for {:?}", context.tenant_id);
//! # Ok(())
//! # }
//! ```
//!
//! The keys are this pool's alone: with them nobody can speak for the edge to another application or to the API.
//! There is one line a key, several while the operator rotates them; a verifier accepts a statement under any.
//!
//! A statement is good for one method, path and query, for half a minute. Whoever reads it on its way can send
//! that same request again in that time, no other. Where even that must not be, [`EdgeContext::nonce`] is
//! different on each passage through an edge: remember the nonces of the last forty seconds and refuse a second.
//!
//! Other languages: docs/context.md has the format and a verifier in Python.

use credentials::edge_context::{self, Binding, ContextError, ContextKey, HEADER};
use http::request::Parts;
use jiff::Timestamp;

pub use credentials::edge_context::{EdgeContext, Membership, PoolKey, PoolKeyError, Principal};
pub use domain::id::{ApiKeyId, MembershipId, RequestId, SessionId, TenantId, UserId};
pub use domain::permission::{Permission, PermissionSet, Role};
pub use domain::plan::PlanName;

/// Verifies the edge's statements for one upstream pool.
#[derive(Debug, Clone)]
pub struct ContextVerifier {
    keys: Vec<ContextKey>,
    audience: String,
}

/// Why a request is not trusted. Answer 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// No statement, or two: the request did not come through the edge.
    #[error("requests must come through the edge")]
    Absent,
    /// The statement is not genuine, not for this request, or too old.
    #[error(transparent)]
    Refused(#[from] ContextError),
}

/// There is nothing to verify with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No key at all.
    #[error("no pool key; `pytake-proxy pool-keys NAME` prints those of a pool")]
    Absent,
    /// A line that is not one.
    #[error("line {line} is not a pool key")]
    Malformed {
        /// Its number, from 1.
        line: usize,
        /// What it should be.
        #[source]
        source: PoolKeyError,
    },
}

impl ContextVerifier {
    /// A verifier for the pool `audience`, which accepts statements under any of `keys`.
    ///
    /// # Errors
    /// When there is no key.
    pub fn new(audience: &str, keys: impl IntoIterator<Item = PoolKey>) -> Result<Self, KeyError> {
        let keys: Vec<_> = keys.into_iter().map(|key| ContextKey::new(&key)).collect();
        if keys.is_empty() {
            return Err(KeyError::Absent);
        }
        Ok(Self { keys, audience: audience.to_owned() })
    }

    /// As [`Self::new`], from what `pytake-proxy pool-keys` prints: one key a line. Empty lines are passed over.
    ///
    /// # Errors
    /// When there is no key, or a line is none.
    pub fn from_hex(audience: &str, text: &str) -> Result<Self, KeyError> {
        let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
        let keys: Result<Vec<_>, _> = lines
            .map(|(index, line)| {
                line.parse::<PoolKey>()
                    .map_err(|source| KeyError::Malformed { line: index + 1, source })
            })
            .collect();
        Self::new(audience, keys?)
    }

    /// What the edge says about this request. Call it before anything rewrites the URI.
    ///
    /// # Errors
    /// When the request carries no statement, or one that is not genuine, not for it, or too old.
    pub fn verify(&self, request: &Parts, now: Timestamp) -> Result<EdgeContext, VerifyError> {
        let mut values = request.headers.get_all(HEADER).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(VerifyError::Absent);
        };
        let value = value.to_str().map_err(|_| ContextError::Forged)?;
        let path_and_query = request.uri.path_and_query().map_or("/", |text| text.as_str());
        let binding =
            Binding { audience: &self.audience, method: request.method.as_str(), path_and_query };
        Ok(edge_context::open(value, &self.keys, binding, now)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn key(byte: u8) -> PoolKey {
        let digit = format!("{byte:02x}");
        digit.repeat(32).parse().unwrap()
    }

    fn sealed(path: &str, key: &PoolKey, now: Timestamp) -> (EdgeContext, String) {
        let context = EdgeContext {
            request_id: RequestId::from_uuid(Uuid::from_u128(1)),
            nonce: 7,
            tenant_id: Some(TenantId::from_uuid(Uuid::from_u128(2))),
            plan: Some(PlanName::Free),
            principal: Principal::Anonymous,
            client_address: "192.0.2.1".parse().unwrap(),
        };
        let binding = Binding { audience: "app", method: "GET", path_and_query: path };
        let value = ContextKey::new(key).seal(&context, binding, now);
        (context, value)
    }

    fn request(path: &str, values: &[&str]) -> Parts {
        let builder = http::Request::get(format!("http://app.example{path}"));
        let builder = values.iter().fold(builder, |builder, value| builder.header(HEADER, *value));
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn one_genuine_statement_for_this_very_request_is_trusted() {
        let now = Timestamp::from_second(1_000).unwrap();
        let (context, value) = sealed("/x?y=1", &key(15), now);
        let verifier = ContextVerifier::from_hex("app", &"0f".repeat(32)).unwrap();
        assert_eq!(verifier.verify(&request("/x?y=1", &[&value]), now), Ok(context));
        assert_eq!(verifier.verify(&request("/x?y=1", &[]), now), Err(VerifyError::Absent));
        assert_eq!(
            verifier.verify(&request("/x?y=1", &[&value, &value]), now),
            Err(VerifyError::Absent)
        );
        let forged = Err(VerifyError::Refused(ContextError::Forged));
        assert_eq!(verifier.verify(&request("/x?y=2", &[&value]), now), forged);
        let elsewhere = ContextVerifier::new("other", [key(15)]).unwrap();
        assert_eq!(elsewhere.verify(&request("/x?y=1", &[&value]), now), forged);
    }

    #[test]
    fn while_keys_are_rotated_either_is_accepted_and_afterwards_only_the_new() {
        let now = Timestamp::from_second(1_000).unwrap();
        let accepted = |keys: &[PoolKey], by: &PoolKey| {
            let verifier = ContextVerifier::new("app", keys.iter().cloned()).unwrap();
            verifier.verify(&request("/", &[&sealed("/", by, now).1]), now).is_ok()
        };
        let (old, new) = (key(1), key(2));
        assert!(accepted(&[old.clone(), new.clone()], &old));
        assert!(accepted(&[old.clone(), new.clone()], &new));
        assert!(accepted(std::slice::from_ref(&new), &new));
        assert!(!accepted(&[new], &old));
    }

    #[test]
    fn keys_are_lines_and_a_bad_one_is_named() {
        let good = "0f".repeat(32);
        assert!(ContextVerifier::from_hex("app", &format!("\n{good}\r\n  {good}\n\n")).is_ok());
        assert_eq!(ContextVerifier::from_hex("app", " \n").unwrap_err(), KeyError::Absent);
        let malformed = ContextVerifier::from_hex("app", &format!("{good}\nsecret")).unwrap_err();
        assert_eq!(malformed.to_string(), "line 2 is not a pool key");
    }
}
