//! The policy: everything the edge knows about tenants, members and keys, as of one moment of the database.
//! Immutable; a change is a new policy.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use credentials::access_token::{PublicJwk, TokenVerifier};
use credentials::api_key::{ApiKeyHash, Pepper};
use domain::host::HostName;
use domain::id::{ApiKeyId, MembershipId, SessionId, TenantId, UserId};
use domain::permission::{PermissionSet, Role};
use domain::plan::PlanName;
use domain::tenant::TenantStatus;
use jiff::Timestamp;

use crate::cidr::AddressList;
use crate::hosts::{HostKind, PlatformHosts};
use crate::routes::RouteTable;

/// What does not come from the database: settings, keys and the route table.
#[derive(Debug)]
pub struct Site {
    /// The platform's own names.
    pub hosts: PlatformHosts,
    /// What may be asked.
    pub routes: RouteTable,
    /// Peppers of API key hashes, newest first.
    pub peppers: Vec<Pepper>,
    /// `iss` of access tokens.
    pub token_issuer: String,
    /// `aud` of access tokens.
    pub token_audience: String,
}

/// A tenant, as far as the edge needs it.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Where it is in its life.
    pub status: TenantStatus,
    /// Its plan.
    pub plan: PlanName,
    /// Calls a minute that the plan allows.
    pub calls_per_minute: NonZeroU32,
    /// Whether members need a second factor.
    pub require_two_factor: bool,
    /// Addresses that may call.
    pub networks: AddressList,
}

/// An active member of a tenant.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// The membership.
    pub id: MembershipId,
    /// Its role.
    pub role: Role,
    /// The role's permissions and the extra ones.
    pub permissions: PermissionSet,
}

/// An API key, revoked ones included.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// The key's record.
    pub id: ApiKeyId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// What its scopes stand for.
    pub permissions: PermissionSet,
    /// Calls a minute, beside the plan's.
    pub calls_per_minute: Option<NonZeroU32>,
    /// Addresses that may use it, within the tenant's.
    pub networks: AddressList,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Whether it was deleted.
    pub revoked: bool,
}

/// Everything that the edge knows. See [`PolicyBuilder`].
#[derive(Debug)]
pub struct Policy {
    pub(crate) site: Arc<Site>,
    tenants: HashMap<TenantId, Tenant>,
    subdomains: HashMap<Box<str>, TenantId>,
    domains: HashMap<HostName, TenantId>,
    members: HashMap<(TenantId, UserId), Member>,
    api_keys: HashMap<ApiKeyHash, ApiKey>,
    revoked_sessions: HashSet<SessionId>,
    pub(crate) tokens: TokenVerifier,
    signing_keys: Vec<PublicJwk>,
}

/// The tenant that a host names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostTenant {
    /// None: a host of the platform.
    Platform,
    /// This one.
    Tenant(TenantId),
    /// Nobody is reached there.
    Unknown,
}

impl Policy {
    /// Starts a policy for `site`.
    #[must_use]
    pub fn builder(site: Arc<Site>) -> PolicyBuilder {
        let tokens = TokenVerifier::new(&site.token_issuer, &site.token_audience, []);
        PolicyBuilder(Self {
            site,
            tenants: HashMap::new(),
            subdomains: HashMap::new(),
            domains: HashMap::new(),
            members: HashMap::new(),
            api_keys: HashMap::new(),
            revoked_sessions: HashSet::new(),
            tokens,
            signing_keys: Vec::new(),
        })
    }

    /// What does not come from the database.
    #[must_use]
    pub const fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// The published keys. A token verified under other keys must be verified again.
    #[must_use]
    pub fn signing_keys(&self) -> &[PublicJwk] {
        &self.signing_keys
    }

    /// How many tenants, active members and API keys are known.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.tenants.len(), self.members.len(), self.api_keys.len())
    }

    pub(crate) fn host_tenant(&self, host: &HostName) -> HostTenant {
        let tenant_id = match self.site.hosts.kind(host) {
            HostKind::Platform => return HostTenant::Platform,
            HostKind::Subdomain(label) => self.subdomains.get(label),
            HostKind::Other => self.domains.get(host),
        };
        tenant_id.map_or(HostTenant::Unknown, |id| HostTenant::Tenant(*id))
    }

    pub(crate) fn tenant(&self, id: TenantId) -> Option<&Tenant> {
        self.tenants.get(&id)
    }

    pub(crate) fn member(&self, tenant_id: TenantId, user_id: UserId) -> Option<&Member> {
        self.members.get(&(tenant_id, user_id))
    }

    pub(crate) fn api_key(&self, hash: &ApiKeyHash) -> Option<&ApiKey> {
        self.api_keys.get(hash)
    }

    pub(crate) fn session_revoked(&self, id: SessionId) -> bool {
        self.revoked_sessions.contains(&id)
    }
}

/// Collects what the feed read into a [`Policy`].
#[derive(Debug)]
pub struct PolicyBuilder(Policy);

impl PolicyBuilder {
    /// Adds a tenant, reached at `subdomain`.
    pub fn tenant(&mut self, id: TenantId, subdomain: &str, tenant: Tenant) {
        self.0.subdomains.insert(subdomain.into(), id);
        self.0.tenants.insert(id, tenant);
    }

    /// Adds a tenant's own, verified domain. A platform host keeps meaning the platform.
    pub fn domain(&mut self, host: HostName, tenant_id: TenantId) {
        self.0.domains.insert(host, tenant_id);
    }

    /// Adds an active member.
    pub fn member(&mut self, tenant_id: TenantId, user_id: UserId, member: Member) {
        self.0.members.insert((tenant_id, user_id), member);
    }

    /// Adds an API key under the hash it is looked up by.
    pub fn api_key(&mut self, hash: ApiKeyHash, api_key: ApiKey) {
        self.0.api_keys.insert(hash, api_key);
    }

    /// Adds a session whose access tokens are no longer good.
    pub fn revoked_session(&mut self, id: SessionId) {
        self.0.revoked_sessions.insert(id);
    }

    /// Adds a published signing key.
    pub fn signing_key(&mut self, jwk: PublicJwk) {
        self.0.signing_keys.push(jwk);
    }

    /// The policy.
    #[must_use]
    pub fn build(self) -> Policy {
        let mut policy = self.0;
        policy.signing_keys.sort_by(|a, b| a.kid.cmp(&b.kid));
        let site = &policy.site;
        policy.tokens = TokenVerifier::new(
            &site.token_issuer,
            &site.token_audience,
            policy.signing_keys.iter().cloned(),
        );
        policy
    }
}
