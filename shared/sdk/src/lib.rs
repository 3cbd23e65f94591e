//! For applications behind the PyTake edge: verify who is calling, and for which tenant.
//!
//! The edge signs a statement about each request ([`EdgeContext`]). An application that trusts nothing else
//! cannot be reached past the edge, and cannot be talked into another tenant by a header:
//!
//! ```
//! use pytake::{ContextVerifier, Permission};
//!
//! # fn handle(request: http::Request<()>, now: jiff::Timestamp, hex: &str) -> Result<(), Box<dyn std::error::Error>> {
//! // Once, at start: the pool's name in config/routes.toml, and the key file that the edge has too.
//! let verifier = ContextVerifier::from_hex(hex, "whatsapp")?;
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

use credentials::SymmetricKey;
use credentials::edge_context::{Binding, ContextError, ContextKey, HEADER};
use domain::secret::Secret;
use http::request::Parts;
use jiff::Timestamp;

pub use credentials::edge_context::{EdgeContext, Membership, Principal};
pub use domain::id::{ApiKeyId, MembershipId, RequestId, SessionId, TenantId, UserId};
pub use domain::permission::{Permission, PermissionSet, Role};
pub use domain::plan::PlanName;

/// Verifies the edge's statements for one upstream pool.
#[derive(Debug, Clone)]
pub struct ContextVerifier {
    key: ContextKey,
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

/// The key is not 64 hexadecimal characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the context key must be 64 hexadecimal characters")]
pub struct KeyError;

impl ContextVerifier {
    /// A verifier for the pool `audience` under the context key of the installation.
    #[must_use]
    pub fn new(context_key: &SymmetricKey, audience: &str) -> Self {
        Self { key: ContextKey::new(context_key, audience), audience: audience.to_owned() }
    }

    /// As [`Self::new`], from the key file's line.
    ///
    /// # Errors
    /// When `hex` is not 64 hexadecimal characters.
    pub fn from_hex(hex: &str, audience: &str) -> Result<Self, KeyError> {
        let hex = hex.trim();
        if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(KeyError);
        }
        let mut bytes = [0; 32];
        for (slot, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| KeyError)?;
            *slot = u8::from_str_radix(pair, 16).map_err(|_| KeyError)?;
        }
        Ok(Self::new(&SymmetricKey::new(Secret::new(bytes)), audience))
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
        Ok(self.key.open(value, binding, now)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn context_key() -> SymmetricKey {
        SymmetricKey::new(Secret::new([0x0f; 32]))
    }

    fn sealed(path: &str, now: Timestamp) -> (EdgeContext, String) {
        let context = EdgeContext {
            request_id: RequestId::from_uuid(Uuid::from_u128(1)),
            nonce: 7,
            tenant_id: Some(TenantId::from_uuid(Uuid::from_u128(2))),
            plan: Some(PlanName::Free),
            principal: Principal::Anonymous,
            client_address: "192.0.2.1".parse().unwrap(),
        };
        let binding = Binding { audience: "app", method: "GET", path_and_query: path };
        let value = ContextKey::new(&context_key(), "app").seal(&context, binding, now);
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
        let (context, value) = sealed("/x?y=1", now);
        let verifier = ContextVerifier::from_hex(&"0f".repeat(32), "app").unwrap();
        assert_eq!(verifier.verify(&request("/x?y=1", &[&value]), now), Ok(context));
        assert_eq!(verifier.verify(&request("/x?y=1", &[]), now), Err(VerifyError::Absent));
        assert_eq!(
            verifier.verify(&request("/x?y=1", &[&value, &value]), now),
            Err(VerifyError::Absent)
        );
        assert_eq!(
            verifier.verify(&request("/x?y=2", &[&value]), now),
            Err(VerifyError::Refused(ContextError::Forged))
        );
    }
}
