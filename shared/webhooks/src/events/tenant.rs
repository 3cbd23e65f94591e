//! Events of a tenant, its people and its API keys.

use serde::Serialize;
use utoipa::ToSchema;

use crate::events::{events, example_id, example_instant};

/// A tenant's settings.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TenantData {
    /// The tenant.
    #[schema(example = "tenant_01h455vb4pex5vsknk084sn02q")]
    pub tenant_id: String,
    /// What it is called.
    pub name: String,
    /// The label under the base domain at which it is reached.
    pub subdomain: String,
    /// `Active`, `Suspended` or `Closed`.
    pub status: String,
    /// IANA time zone.
    pub time_zone: String,
}

/// A member, or who is to become one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UserData {
    /// The membership.
    #[schema(example = "member_01h455vb4pex5vsknk084sn02q")]
    pub user_id: String,
    /// Their address.
    #[schema(format = Email)]
    pub email: String,
    /// What they are called.
    pub name: String,
    /// Their role.
    pub role: String,
}

/// A member who is one no more.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RemovedUserData {
    /// The membership.
    #[schema(example = "member_01h455vb4pex5vsknk084sn02q")]
    pub user_id: String,
}

/// An API key's record; never the key.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ApiKeyData {
    /// The key's id.
    #[schema(example = "key_01h455vb4pex5vsknk084sn02q")]
    pub api_key_id: String,
    /// What it is for.
    pub name: String,
    /// Its last four characters.
    pub last_four: String,
    /// What it may do.
    pub permissions: Vec<String>,
    /// When it ends by itself (RFC 3339).
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
}

/// An API key that is refused from now on.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RevokedApiKeyData {
    /// The key's id.
    #[schema(example = "key_01h455vb4pex5vsknk084sn02q")]
    pub api_key_id: String,
}

fn tenant(status: &str) -> TenantData {
    TenantData {
        tenant_id: example_id("tenant"),
        name: "Analytical Engines Ltd".to_owned(),
        subdomain: "engines".to_owned(),
        status: status.to_owned(),
        time_zone: "Europe/London".to_owned(),
    }
}

fn user() -> UserData {
    UserData {
        user_id: example_id("member"),
        email: "ada@example.com".to_owned(),
        name: "Ada Lovelace".to_owned(),
        role: "Admin".to_owned(),
    }
}

fn api_key() -> ApiKeyData {
    ApiKeyData {
        api_key_id: example_id("key"),
        name: "WhatsApp Integration".to_owned(),
        last_four: "x7Qa".to_owned(),
        permissions: vec!["whatsapp.send".to_owned()],
        expires_at: Some(example_instant()),
    }
}

events! {
    /// A tenant's settings changed.
    TenantUpdated = "tenant.updated", "The tenant's settings changed.", TenantData { key: tenant_id, example: tenant("Active") };
    /// A tenant was closed.
    TenantClosed = "tenant.closed", "The tenant was closed by its owner.", TenantData { key: tenant_id, example: tenant("Closed") };
    /// Somebody was invited.
    UserInvited = "user.invited", "Somebody was invited.", UserData { key: user_id, example: user() };
    /// An invited person joined.
    UserJoined = "user.joined", "An invited person joined.", UserData { key: user_id, example: user() };
    /// A member's role or permissions changed.
    UserUpdated = "user.updated", "A member's role or permissions changed.", UserData { key: user_id, example: user() };
    /// A member was removed.
    UserRemoved = "user.removed", "A member was removed, or an invitation withdrawn.", RemovedUserData {
        key: user_id, example: RemovedUserData { user_id: example_id("member") }
    };
    /// An API key was created.
    ApiKeyCreated = "api_key.created", "An API key was created.", ApiKeyData { key: api_key_id, example: api_key() };
    /// An API key was deleted.
    ApiKeyRevoked = "api_key.revoked", "An API key was deleted, and is refused from now on.", RevokedApiKeyData {
        key: api_key_id, example: RevokedApiKeyData { api_key_id: example_id("key") }
    };
}
