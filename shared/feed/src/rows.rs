//! Rows of the edge's views, and what they are to the policy. What cannot be understood is refused: an edge
//! that is older than the data must not guess.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use credentials::api_key::ApiKeyHash;
use domain::id::{ApiKeyId, MembershipId, TenantId, UserId};
use domain::meter::MeterName;
use domain::period::Period;
use domain::permission::{Permission, PermissionSet, Role, Scope};
use domain::plan::PlanName;
use domain::standing::Standing;
use domain::tenant::TenantStatus;
use ipnet::IpNet;
use policy::Change;
use policy::cidr::AddressList;
use policy::snapshot::{ApiKey, Member, Tenant};

/// `edge.tenants`, as far as the condition says.
macro_rules! tenants {
    ($condition:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            crate::rows::TenantRow,
            r#"SELECT
                id AS "id!: TenantId",
                subdomain AS "subdomain!",
                status AS "status!",
                standing AS "standing!",
                plan AS "plan!",
                api_calls_per_minute AS "calls_per_minute!",
                concurrent_requests,
                quotas AS "quotas!",
                period_start AS "period_start!: jiff_sqlx::Timestamp",
                period_end AS "period_end!: jiff_sqlx::Timestamp",
                require_two_factor AS "require_two_factor!",
                networks AS "networks!: Vec<ipnet::IpNet>"
            FROM edge.tenants "# + $condition
            $(, $argument)*
        )
    };
}

/// `edge.memberships`, as far as the condition says.
macro_rules! members {
    ($condition:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            crate::rows::MemberRow,
            r#"SELECT
                tenant_id AS "tenant_id!: TenantId",
                id AS "id!: domain::id::MembershipId",
                user_id AS "user_id!: UserId",
                role AS "role!",
                permissions AS "permissions!"
            FROM edge.memberships "# + $condition
            $(, $argument)*
        )
    };
}

/// `edge.api_keys`, as far as the condition says.
macro_rules! api_keys {
    ($condition:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            crate::rows::ApiKeyRow,
            r#"SELECT
                tenant_id AS "tenant_id!: TenantId",
                id AS "id!: domain::id::ApiKeyId",
                hash AS "hash!",
                scopes AS "scopes!",
                rate_limit,
                networks AS "networks!: Vec<ipnet::IpNet>",
                expires_at AS "expires_at: jiff_sqlx::Timestamp",
                revoked_at IS NOT NULL AS "revoked!",
                creator_role,
                creator_permissions
            FROM edge.api_keys "# + $condition
            $(, $argument)*
        )
    };
}

/// A row of `edge.tenants`.
pub(crate) struct TenantRow {
    pub(crate) id: TenantId,
    pub(crate) subdomain: String,
    pub(crate) status: String,
    pub(crate) standing: String,
    pub(crate) plan: String,
    pub(crate) calls_per_minute: i32,
    pub(crate) concurrent_requests: Option<i32>,
    pub(crate) quotas: serde_json::Value,
    pub(crate) period_start: jiff_sqlx::Timestamp,
    pub(crate) period_end: jiff_sqlx::Timestamp,
    pub(crate) require_two_factor: bool,
    pub(crate) networks: Vec<IpNet>,
}

/// A row of `edge.memberships`.
pub(crate) struct MemberRow {
    pub(crate) tenant_id: TenantId,
    pub(crate) id: MembershipId,
    pub(crate) user_id: UserId,
    pub(crate) role: String,
    pub(crate) permissions: Vec<String>,
}

/// A row of `edge.api_keys`.
pub(crate) struct ApiKeyRow {
    pub(crate) tenant_id: TenantId,
    pub(crate) id: ApiKeyId,
    pub(crate) hash: Vec<u8>,
    pub(crate) scopes: Vec<String>,
    pub(crate) rate_limit: Option<i32>,
    pub(crate) networks: Vec<IpNet>,
    pub(crate) expires_at: Option<jiff_sqlx::Timestamp>,
    pub(crate) revoked: bool,
    pub(crate) creator_role: Option<String>,
    pub(crate) creator_permissions: Option<Vec<String>>,
}

impl TenantRow {
    /// The tenant, or that it is none.
    pub(crate) fn change(self) -> Change {
        let id = self.id;
        let tenant = self.parse();
        if tenant.is_none() {
            tracing::error!(tenant.id = %id, "tenant {id} cannot be understood and is refused");
        }
        Change::Tenant(id, tenant)
    }

    fn parse(self) -> Option<Tenant> {
        Some(Tenant {
            subdomain: self.subdomain.into(),
            status: self.status.parse::<TenantStatus>().ok()?,
            access: self.standing.parse::<Standing>().ok()?.access(),
            plan: self.plan.parse::<PlanName>().ok()?,
            calls_per_minute: positive(self.calls_per_minute)?,
            // A limit that cannot be understood is no reason to have none.
            concurrent_requests: match self.concurrent_requests {
                None => None,
                Some(count) => Some(positive(count)?),
            },
            quotas: quotas(self.quotas)?,
            period: Period { start: self.period_start.to_jiff(), end: self.period_end.to_jiff() },
            require_two_factor: self.require_two_factor,
            networks: AddressList::new(self.networks),
        })
    }
}

impl MemberRow {
    /// The member, or that they are none.
    pub(crate) fn change(self) -> Change {
        let member = self.role.parse::<Role>().ok().map(|role| Member {
            id: self.id,
            role,
            permissions: effective(role, &self.permissions),
        });
        if member.is_none() {
            tracing::error!(membership.id = %self.id, "role of {} is unknown; it is refused", self.id);
        }
        Change::Member(self.tenant_id, self.user_id, member)
    }
}

impl ApiKeyRow {
    /// The key; `None` where its hash can be nobody's.
    pub(crate) fn change(self) -> Option<Change> {
        let hash = ApiKeyHash::from_slice(&self.hash)?;
        let scopes = self.scopes.iter().filter_map(|name| name.parse::<Scope>().ok());
        let scopes: PermissionSet = scopes.map(Scope::permission).collect();
        let creator_role = self.creator_role.and_then(|role| role.parse::<Role>().ok());
        let creators = creator_role.map_or(PermissionSet::EMPTY, |role| {
            effective(role, &self.creator_permissions.unwrap_or_default())
        });
        let api_key = ApiKey {
            id: self.id,
            tenant_id: self.tenant_id,
            permissions: scopes.intersection(creators),
            calls_per_minute: self.rate_limit.and_then(positive),
            networks: AddressList::new(self.networks),
            expires_at: self.expires_at.map(jiff_sqlx::Timestamp::to_jiff),
            revoked: self.revoked,
        };
        Some(Change::ApiKey(hash, Some(api_key)))
    }
}

/// What a member may do. A permission that this release does not know is not granted.
fn effective(role: Role, granted: &[String]) -> PermissionSet {
    let granted = granted.iter().filter_map(|name| name.parse::<Permission>().ok());
    role.permissions().union(granted.collect())
}

/// Counts by meter, in the order of their names.
fn quotas(counts: serde_json::Value) -> Option<Box<[(MeterName, u64)]>> {
    let counts: BTreeMap<MeterName, u64> = serde_json::from_value(counts).ok()?;
    Some(counts.into_iter().collect())
}

fn positive(count: i32) -> Option<NonZeroU32> {
    u32::try_from(count).ok().and_then(NonZeroU32::new)
}
