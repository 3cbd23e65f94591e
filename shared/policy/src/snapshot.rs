//! The policy: everything the edge knows about tenants, members and keys, as of one moment of the database.
//! A copy costs next to nothing and a change to it little, so that whoever decides holds one that stands still.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;

use credentials::access_token::{PublicJwk, TokenVerifier};
use credentials::api_key::{ApiKeyHash, Pepper};
use domain::host::HostName;
use domain::id::{ApiKeyId, MembershipId, SessionId, TenantId, UserId};
use domain::meter::MeterName;
use domain::period::Period;
use domain::permission::{PermissionSet, Role};
use domain::plan::PlanName;
use domain::standing::Access;
use domain::tenant::TenantStatus;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::cidr::AddressList;
use crate::hosts::{HostKind, PlatformHosts};
use crate::routes::RouteTable;
use crate::trie::Trie;

/// Of keys there are ten times as many as of anything else, and each request looks one up.
const API_KEY_BRANCHES: usize = 128;

/// What does not come from the database: settings, keys and the route table.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// The label at which it is reached under the base domain.
    pub subdomain: Box<str>,
    /// Where it is in its life.
    pub status: TenantStatus,
    /// What it may do, as far as that depends on its paying.
    pub access: Access,
    /// Its plan.
    pub plan: PlanName,
    /// Calls a minute that the plan allows.
    pub calls_per_minute: NonZeroU32,
    /// Calls in progress at the same time that the plan allows; `None` is unlimited.
    pub concurrent_requests: Option<NonZeroU32>,
    /// Meters that stop at a count a period, in the order of their names.
    pub quotas: Box<[(MeterName, u64)]>,
    /// The billing period that runs, or the last one, as long as nobody has begun the next.
    pub period: Period,
    /// Whether members need a second factor.
    pub require_two_factor: bool,
    /// Addresses that may call.
    pub networks: AddressList,
}

impl Tenant {
    /// At which count `meter` stops, if it does.
    pub(crate) fn quota(&self, meter: &MeterName) -> Option<u64> {
        self.quotas.iter().find(|(name, _)| name == meter).map(|(_, count)| *count)
    }
}

/// An active member of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The membership.
    pub id: MembershipId,
    /// Its role.
    pub role: Role,
    /// The role's permissions and the extra ones.
    pub permissions: PermissionSet,
}

/// An API key, revoked ones included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// Everything that the edge knows.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(crate) site: Arc<Site>,
    tenants: Trie<TenantId, Tenant>,
    subdomains: Trie<Box<str>, TenantId>,
    domains: Trie<HostName, TenantId>,
    members: Trie<(TenantId, UserId), Member>,
    api_keys: Trie<ApiKeyHash, ApiKey, API_KEY_BRANCHES>,
    revoked_sessions: Trie<SessionId, Timestamp>,
    pub(crate) tokens: Arc<TokenVerifier>,
    signing_keys: Arc<[PublicJwk]>,
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
    /// The policy of `site` that knows nobody.
    #[must_use]
    pub fn new(site: Arc<Site>) -> Self {
        let tokens = TokenVerifier::new(&site.token_issuer, &site.token_audience, []);
        Self {
            site,
            tenants: Trie::default(),
            subdomains: Trie::default(),
            domains: Trie::default(),
            members: Trie::default(),
            api_keys: Trie::default(),
            revoked_sessions: Trie::default(),
            tokens: Arc::new(tokens),
            signing_keys: Arc::default(),
        }
    }

    /// The same knowledge under other settings; a route table that was loaded anew, say.
    #[must_use]
    pub fn at(&self, site: Arc<Site>) -> Self {
        let mut policy = self.clone();
        if !Arc::ptr_eq(&self.site, &site) {
            policy.site = site;
            policy.set_signing_keys(self.signing_keys.to_vec());
        }
        policy
    }

    /// Takes notice of `change`.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Tenant(id, tenant) => self.set_tenant(id, tenant),
            Change::Domain(host, tenant) => set(&mut self.domains, host, tenant),
            Change::Member(tenant, user, member) => set(&mut self.members, (tenant, user), member),
            Change::ApiKey(hash, api_key) => set(&mut self.api_keys, hash, api_key),
            Change::RevokedSession(id, since) => set(&mut self.revoked_sessions, id, since),
            Change::SigningKeys(keys) => self.set_signing_keys(keys),
        }
    }

    /// Forgets sessions revoked before `time`, none of whose access tokens can still be in force.
    pub fn forget_sessions(&mut self, time: Timestamp) {
        let past = self.revoked_sessions.iter().filter(|(_, since)| **since < time);
        for id in past.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.revoked_sessions.remove(&id);
        }
    }

    /// Everything that is known, as the changes that make an empty policy into this one.
    pub fn changes(&self) -> impl Iterator<Item = Change> {
        let keys = Change::SigningKeys(self.signing_keys.to_vec());
        let tenants = self.tenants.iter().map(|(id, t)| Change::Tenant(*id, Some(t.clone())));
        let domains = self.domains.iter().map(|(host, id)| Change::Domain(host.clone(), Some(*id)));
        let members = self.members.iter();
        let members = members.map(|((t, user), member)| Change::Member(*t, *user, Some(*member)));
        let api_keys = self.api_keys.iter();
        let api_keys = api_keys.map(|(hash, key)| Change::ApiKey(*hash, Some(key.clone())));
        let sessions = self.revoked_sessions.iter();
        let sessions = sessions.map(|(id, since)| Change::RevokedSession(*id, Some(*since)));
        [keys]
            .into_iter()
            .chain(tenants)
            .chain(domains)
            .chain(members)
            .chain(api_keys)
            .chain(sessions)
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
    pub const fn sizes(&self) -> (usize, usize, usize) {
        (self.tenants.len(), self.members.len(), self.api_keys.len())
    }

    /// Whether both know the same, under whatever settings.
    #[must_use]
    pub fn knows_as_much_as(&self, other: &Self) -> bool {
        self.tenants == other.tenants
            && self.subdomains == other.subdomains
            && self.domains == other.domains
            && self.members == other.members
            && self.api_keys == other.api_keys
            && self.revoked_sessions == other.revoked_sessions
            && self.signing_keys == other.signing_keys
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
        self.revoked_sessions.get(&id).is_some()
    }

    fn set_tenant(&mut self, id: TenantId, tenant: Option<Tenant>) {
        let before = self.tenants.get(&id).map(|tenant| tenant.subdomain.clone());
        // A label that was given up may be another's by now.
        if let Some(label) = before
            && self.subdomains.get(&*label) == Some(&id)
        {
            self.subdomains.remove(&*label);
        }
        if let Some(tenant) = &tenant {
            self.subdomains.insert(tenant.subdomain.clone(), id);
        }
        set(&mut self.tenants, id, tenant);
    }

    fn set_signing_keys(&mut self, mut keys: Vec<PublicJwk>) {
        keys.sort_by(|a, b| a.kid.cmp(&b.kid));
        let (issuer, audience) = (&self.site.token_issuer, &self.site.token_audience);
        self.tokens = Arc::new(TokenVerifier::new(issuer, audience, keys.iter().cloned()));
        self.signing_keys = keys.into();
    }
}

fn set<K: Hash + Eq + Clone, V: Clone, const N: usize>(
    map: &mut Trie<K, V, N>,
    key: K,
    value: Option<V>,
) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    }
}

#[cfg(test)]
mod tests;
