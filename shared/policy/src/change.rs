//! What changes a policy: the present state of one entity, or that it is no more. Applying one twice, or a
//! newer one after it, is harmless; so are all the changes of a fresh load on top of each other.

use credentials::access_token::PublicJwk;
use credentials::api_key::ApiKeyHash;
use domain::host::HostName;
use domain::id::{SessionId, TenantId, UserId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::snapshot::{ApiKey, Member, Tenant};

/// The present state of one entity. `None`: it is no more, or no longer of any use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// A tenant with what belongs to it alone: plan, limits, allowlist.
    Tenant(TenantId, Option<Tenant>),
    /// A tenant's own, verified domain.
    Domain(HostName, Option<TenantId>),
    /// Someone's active membership.
    Member(TenantId, UserId, Option<Member>),
    /// An API key, by the hash that it is looked up by.
    ApiKey(ApiKeyHash, Option<ApiKey>),
    /// A session whose access tokens are no longer good, and since when.
    RevokedSession(SessionId, Option<Timestamp>),
    /// All published signing keys.
    SigningKeys(#[serde(with = "as_json")] Vec<PublicJwk>),
}

/// Published keys keep the form they are published in, whatever format they travel in.
mod as_json {
    use credentials::access_token::PublicJwk;
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(keys: &[PublicJwk], to: S) -> Result<S::Ok, S::Error> {
        serde_json::to_string(keys).map_err(S::Error::custom)?.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<PublicJwk>, D::Error> {
        serde_json::from_str(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}
