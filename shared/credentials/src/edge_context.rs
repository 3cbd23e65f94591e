//! The signed context: what the edge tells the application behind it about a request.
//!
//! `base64url(payload ‖ HMAC-SHA-256)`, byte for byte in docs/context.md. The mac also covers audience, method,
//! path and query, so a context seen on one request is good for no other; it expires in seconds. One key per
//! upstream pool, so that an application can neither mint nor replay one for the API.

mod payload;
mod pool_key;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::{ApiKeyId, MembershipId, RequestId, SessionId, TenantId, UserId};
use domain::permission::{PermissionSet, Role};
use domain::plan::PlanName;
use jiff::Timestamp;
use ring::hmac;
use subtle::ConstantTimeEq;

use self::payload::Payload;
pub use self::pool_key::{PoolKey, PoolKeyError};

/// The header that carries it.
pub const HEADER: &str = "x-pytake-context";
/// How long a context is good for, in seconds: enough for a slow hop, too short to be worth stealing.
pub const LIFE_SECS: i64 = 30;
/// How far the clocks of edge and application may be apart, in seconds.
pub const LEEWAY_SECS: i64 = 5;
/// Bytes of the mac.
const MAC_BYTES: usize = 32;
/// Most bytes of payload and mac together.
const SEALED_MAX: usize = payload::LEN_MAX + MAC_BYTES;
/// Longest header value that can be a context: `SEALED_MAX` in base64 without padding.
pub const LEN_MAX: usize = (SEALED_MAX * 4).div_ceil(3);

/// What the edge has established about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeContext {
    /// The request's id; a client may have chosen it.
    pub request_id: RequestId,
    /// The edge's own number for this passage, never used twice: a client's request id is no nonce. Who must
    /// not act twice on one passage remembers it for `LIFE_SECS + 2 × LEEWAY_SECS`; see docs/context.md.
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

/// Seals and opens contexts of one upstream pool under one key.
#[derive(Clone)]
pub struct ContextKey {
    mac: hmac::Key,
    id: u8,
}

/// Why a context is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// Not of the form, forged, under a key that is not known, or made for another request or audience.
    #[error("the context is not genuine")]
    Forged,
    /// Older than [`LIFE_SECS`].
    #[error("the context has expired")]
    Expired,
}

impl ContextKey {
    /// Ready for use.
    #[must_use]
    pub fn new(key: &PoolKey) -> Self {
        Self { mac: hmac::Key::new(hmac::HMAC_SHA256, key.bytes()), id: key.id() }
    }

    /// The header's value for `context`, good from `now` for [`LIFE_SECS`] and for `binding` only.
    /// Made once a request: it allocates the value and nothing else.
    #[must_use]
    pub fn seal(&self, context: &EdgeContext, binding: Binding<'_>, now: Timestamp) -> String {
        let expires = now.as_second() + LIFE_SECS;
        let mut sealed = Payload::<SEALED_MAX>::write(context, self.id, expires);
        let mac = self.mac(sealed.as_bytes(), binding);
        sealed.push(&mac);
        URL_SAFE_NO_PAD.encode(sealed.as_bytes())
    }

    /// As [`open`], where there is but one key.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(
        &self,
        value: &str,
        binding: Binding<'_>,
        now: Timestamp,
    ) -> Result<EdgeContext, ContextError> {
        open(value, std::slice::from_ref(self), binding, now)
    }

    /// Each part is preceded by its length, so that no two requests share a form.
    fn mac(&self, payload: &[u8], binding: Binding<'_>) -> [u8; MAC_BYTES] {
        let mut mac = hmac::Context::with_key(&self.mac);
        let Binding { audience, method, path_and_query } = binding;
        for part in [payload, audience.as_bytes(), method.as_bytes(), path_and_query.as_bytes()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let mut bytes = [0; MAC_BYTES];
        bytes.copy_from_slice(mac.sign().as_ref());
        bytes
    }
}

/// The context in `value`, if it was sealed under one of `keys` for this very request.
///
/// # Errors
/// `Expired` only for a context that is genuine.
pub fn open(
    value: &str,
    keys: &[ContextKey],
    binding: Binding<'_>,
    now: Timestamp,
) -> Result<EdgeContext, ContextError> {
    // The decoder asks for room in multiples of three bytes.
    let mut sealed = [0; SEALED_MAX.next_multiple_of(3)];
    if value.len() > LEN_MAX {
        return Err(ContextError::Forged);
    }
    let len = URL_SAFE_NO_PAD.decode_slice(value, &mut sealed).map_err(|_| ContextError::Forged)?;
    let (payload, mac) =
        sealed[..len].split_last_chunk::<MAC_BYTES>().ok_or(ContextError::Forged)?;
    let key_id = payload::key_id(payload).ok_or(ContextError::Forged)?;
    let genuine = keys
        .iter()
        .filter(|key| key.id == key_id)
        .any(|key| bool::from(key.mac(payload, binding).ct_eq(mac)));
    if !genuine {
        return Err(ContextError::Forged);
    }
    let (context, expires) = payload::read(payload).ok_or(ContextError::Forged)?;
    let now = now.as_second();
    if expires < now - LEEWAY_SECS || expires > now + LIFE_SECS + LEEWAY_SECS {
        return Err(ContextError::Expired);
    }
    Ok(context)
}

impl std::fmt::Debug for ContextKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContextKey(…)")
    }
}
