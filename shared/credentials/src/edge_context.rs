//! The signed context: what the edge tells the application behind it about a request.
//!
//! `base64url(payload) . base64url(HMAC-SHA-256)`. The mac also covers audience, method, path and query, so a
//! context seen on one request is good for no other; it expires in seconds. One key per upstream pool, so
//! that an application can neither mint nor replay one for the API.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::{ApiKeyId, MembershipId, RequestId, SessionId, TenantId, UserId};
use domain::permission::{PermissionSet, Role};
use domain::plan::PlanName;
use jiff::Timestamp;
use ring::hmac;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::SymmetricKey;

/// The header that carries it.
pub const HEADER: &str = "x-pytake-context";
/// How long a context is good for, in seconds: enough for a slow hop, too short to be worth stealing.
pub const LIFE_SECS: i64 = 30;
/// How far the clocks of edge and application may be apart, in seconds.
pub const LEEWAY_SECS: i64 = 5;
/// Longest header value that is looked at.
pub const LEN_MAX: usize = 2048;

/// What the edge has established about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeContext {
    /// The request's id; a client may have chosen it.
    pub request_id: RequestId,
    /// The edge's own number for this passage, never used twice: a client's request id is no nonce.
    pub nonce: u64,
    /// The tenant that host, credential, header and path agree on; `None` where none is needed.
    pub tenant_id: Option<TenantId>,
    /// The tenant's plan.
    pub plan: Option<PlanName>,
    /// Who is calling.
    pub principal: Principal,
    /// The caller's address, after trusted proxies.
    pub client_address: IpAddr,
}

/// Who is calling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// No credential, on a public route.
    Anonymous,
    /// A signed-in person.
    User {
        /// The person.
        user_id: UserId,
        /// The session that the token came from.
        session_id: SessionId,
        /// Their place in the context's tenant; `None` where the route needs no tenant.
        membership: Option<Membership>,
    },
    /// An API key of the context's tenant.
    ApiKey {
        /// The key's record.
        api_key_id: ApiKeyId,
        /// What its scopes stand for.
        permissions: PermissionSet,
    },
}

/// A person's place in a tenant, as it was when the edge decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// The membership.
    pub id: MembershipId,
    /// Its role.
    pub role: Role,
    /// Everything it may do: the role's permissions and the extra ones.
    pub permissions: PermissionSet,
}

impl Principal {
    /// Everything that the caller may do in the context's tenant.
    #[must_use]
    pub const fn permissions(&self) -> PermissionSet {
        match self {
            Self::Anonymous | Self::User { membership: None, .. } => PermissionSet::EMPTY,
            Self::User { membership: Some(membership), .. } => membership.permissions,
            Self::ApiKey { permissions, .. } => *permissions,
        }
    }
}

/// What a context is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// The upstream pool's name.
    pub audience: &'a str,
    /// The request's method.
    pub method: &'a str,
    /// Path and query exactly as they go upstream.
    pub path_and_query: &'a str,
}

/// Seals and opens contexts of one upstream pool.
#[derive(Clone)]
pub struct ContextKey(hmac::Key);

/// Why a context is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// Not of the form, forged, or made for another request or audience.
    #[error("the context is not genuine")]
    Forged,
    /// Older than [`LIFE_SECS`].
    #[error("the context has expired")]
    Expired,
}

/// The compact form that is signed. Short keys, ids as UUIDs, permissions as one word: the context is made
/// and parsed once a request.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    r: RequestId,
    n: u64,
    e: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    l: Option<PlanName>,
    a: IpAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    u: Option<UserPart>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    k: Option<(Uuid, u64)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserPart {
    u: Uuid,
    s: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    m: Option<(Uuid, Role, u64)>,
}

impl ContextKey {
    /// The key of the pool `audience`, derived from the installation's context key.
    #[must_use]
    pub fn new(context_key: &SymmetricKey, audience: &str) -> Self {
        let derived = context_key.derive(&format!("pytake 2026-11 edge context {audience}"));
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived.bytes()))
    }

    /// The header's value for `context`, good from `now` for [`LIFE_SECS`] and for `binding` only.
    #[must_use]
    pub fn seal(&self, context: &EdgeContext, binding: Binding<'_>, now: Timestamp) -> String {
        let payload = Payload::of(context, now.as_second() + LIFE_SECS);
        // Serialising a struct of plain fields into memory cannot fail; an empty payload opens nowhere.
        let json = serde_json::to_vec(&payload).unwrap_or_default();
        let mac = self.mac(&json, binding);
        let mut value = String::with_capacity((json.len() + 32) * 4 / 3 + 4);
        URL_SAFE_NO_PAD.encode_string(&json, &mut value);
        value.push('.');
        URL_SAFE_NO_PAD.encode_string(mac, &mut value);
        value
    }

    /// The context in `value`, if it was sealed under this key for this very request.
    ///
    /// # Errors
    /// `Expired` only for a context that is genuine.
    pub fn open(
        &self,
        value: &str,
        binding: Binding<'_>,
        now: Timestamp,
    ) -> Result<EdgeContext, ContextError> {
        if value.len() > LEN_MAX {
            return Err(ContextError::Forged);
        }
        let (payload, mac) = value.split_once('.').ok_or(ContextError::Forged)?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| ContextError::Forged);
        let (json, mac) = (decode(payload)?, decode(mac)?);
        let covered = covered(&json, binding);
        hmac::verify(&self.0, &covered, &mac).map_err(|_| ContextError::Forged)?;
        let payload: Payload = serde_json::from_slice(&json).map_err(|_| ContextError::Forged)?;
        if payload.e + LEEWAY_SECS < now.as_second()
            || payload.e > now.as_second() + LIFE_SECS + LEEWAY_SECS
        {
            return Err(ContextError::Expired);
        }
        payload.into_context()
    }

    fn mac(&self, json: &[u8], binding: Binding<'_>) -> hmac::Tag {
        hmac::sign(&self.0, &covered(json, binding))
    }
}

/// What the mac covers. Each part is preceded by its length, so that no two requests share a form.
fn covered(json: &[u8], binding: Binding<'_>) -> Vec<u8> {
    let parts = [
        json,
        binding.audience.as_bytes(),
        binding.method.as_bytes(),
        binding.path_and_query.as_bytes(),
    ];
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

impl Payload {
    fn of(context: &EdgeContext, expires: i64) -> Self {
        let (u, k) = match context.principal {
            Principal::Anonymous => (None, None),
            Principal::ApiKey { api_key_id, permissions } => {
                (None, Some((api_key_id.as_uuid(), permissions.bits())))
            }
            Principal::User { user_id, session_id, membership } => {
                let m = membership.map(|m| (m.id.as_uuid(), m.role, m.permissions.bits()));
                (Some(UserPart { u: user_id.as_uuid(), s: session_id.as_uuid(), m }), None)
            }
        };
        Self {
            r: context.request_id,
            n: context.nonce,
            e: expires,
            t: context.tenant_id.map(|id| id.as_uuid()),
            l: context.plan,
            a: context.client_address,
            u,
            k,
        }
    }

    fn into_context(self) -> Result<EdgeContext, ContextError> {
        let principal = match (self.u, self.k) {
            (None, None) => Principal::Anonymous,
            (None, Some((id, bits))) => Principal::ApiKey {
                api_key_id: ApiKeyId::from_uuid(id),
                permissions: PermissionSet::from_bits(bits),
            },
            (Some(user), None) => Principal::User {
                user_id: UserId::from_uuid(user.u),
                session_id: SessionId::from_uuid(user.s),
                membership: user.m.map(|(id, role, bits)| Membership {
                    id: MembershipId::from_uuid(id),
                    role,
                    permissions: PermissionSet::from_bits(bits),
                }),
            },
            (Some(_), Some(_)) => return Err(ContextError::Forged),
        };
        Ok(EdgeContext {
            request_id: self.r,
            nonce: self.n,
            tenant_id: self.t.map(TenantId::from_uuid),
            plan: self.l,
            principal,
            client_address: self.a,
        })
    }
}

impl std::fmt::Debug for ContextKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContextKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::secret::Secret;
    use proptest::prelude::*;

    fn key(audience: &str) -> ContextKey {
        ContextKey::new(&SymmetricKey::new(Secret::new([5; 32])), audience)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn context(principal: Principal) -> EdgeContext {
        EdgeContext {
            request_id: RequestId::from_uuid(Uuid::from_u128(1)),
            nonce: 7,
            tenant_id: Some(TenantId::from_uuid(Uuid::from_u128(2))),
            plan: Some(PlanName::Pro),
            principal,
            client_address: "2001:db8::1".parse().unwrap(),
        }
    }

    fn member() -> Principal {
        Principal::User {
            user_id: UserId::from_uuid(Uuid::from_u128(3)),
            session_id: SessionId::from_uuid(Uuid::from_u128(4)),
            membership: Some(Membership {
                id: MembershipId::from_uuid(Uuid::from_u128(5)),
                role: Role::Manager,
                permissions: Role::Manager.permissions(),
            }),
        }
    }

    const BINDING: Binding<'static> =
        Binding { audience: "api", method: "GET", path_and_query: "/api/v1/dashboard?x=1" };

    #[test]
    fn every_principal_round_trips() {
        let api_key = Principal::ApiKey {
            api_key_id: ApiKeyId::from_uuid(Uuid::from_u128(6)),
            permissions: Role::User.permissions(),
        };
        for principal in [Principal::Anonymous, api_key, member()] {
            let context = context(principal);
            let value = key("api").seal(&context, BINDING, at(1000));
            assert_eq!(key("api").open(&value, BINDING, at(1000)), Ok(context));
        }
    }

    #[test]
    fn good_for_one_request_one_audience_and_seconds_only() {
        let value = key("api").seal(&context(member()), BINDING, at(1000));
        let refused = |binding, key: ContextKey| key.open(&value, binding, at(1000)).unwrap_err();
        let other = [
            Binding { method: "POST", ..BINDING },
            Binding { path_and_query: "/api/v1/dashboard", ..BINDING },
            Binding { audience: "app", ..BINDING },
        ];
        for binding in other {
            assert_eq!(refused(binding, key("api")), ContextError::Forged);
        }
        assert_eq!(refused(BINDING, key("app")), ContextError::Forged);
        assert_eq!(key("api").open(&value, BINDING, at(1036)), Err(ContextError::Expired));
        assert_eq!(key("api").open(&value, BINDING, at(900)), Err(ContextError::Expired));
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_noticed(at_byte in 0_usize..200, to in "[A-Za-z0-9_.-]") {
            let value = key("api").seal(&context(member()), BINDING, at(1000));
            let at_byte = at_byte % value.len();
            let mut changed = value.clone();
            changed.replace_range(at_byte..=at_byte, &to);
            // The last character of base64 has bits that carry nothing; the decoder refuses them unless zero.
            prop_assert_eq!(key("api").open(&changed, BINDING, at(1000)).is_ok(), changed == value);
        }

        #[test]
        fn any_text_is_refused_without_panic(text in "\\PC{0,80}") {
            prop_assert!(key("api").open(&text, BINDING, at(1000)).is_err());
        }
    }
}
