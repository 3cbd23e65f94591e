//! Which limits a granted request counts against, and by how much.

use std::net::IpAddr;
use std::num::NonZeroU32;

use domain::id::{ApiKeyId, TenantId};
use jiff::Timestamp;

use crate::cidr::subscriber;
use crate::routes::{Route, Shadow};
use crate::snapshot::{ApiKey, Tenant};

/// The limits that a request counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// The address's, on a route that has one.
    pub address: Option<Limit>,
    /// The key's own.
    pub api_key: Option<Limit>,
    /// The plan's, on calls a minute.
    pub tenant: Option<Limit>,
    /// The plan's, on calls in progress.
    pub concurrency: Option<Limit>,
    /// The plan's, on what the route's meter counts. Its name is the meter's.
    pub quota: Option<Limit>,
}

/// One limit: whose, and what it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Whose limit.
    pub scope: LimitScope,
    /// What it allows.
    pub rule: LimitRule,
    /// Counted, but nobody is denied by it.
    pub shadow: bool,
}

/// Whose limit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitScope {
    /// A tenant's calls a minute, by its plan.
    Tenant(TenantId),
    /// A key's own.
    ApiKey(ApiKeyId),
    /// An address's on one route ([`Route::number`]).
    Address(u64, IpAddr),
    /// A tenant's calls in progress, by its plan.
    Concurrency(TenantId),
    /// A tenant's count of the route's meter ([`Route::meter`]), by its plan.
    Quota(TenantId),
}

/// What a limit allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitRule {
    /// Calls a minute.
    PerMinute(NonZeroU32),
    /// Calls in progress at the same time.
    Concurrent(NonZeroU32),
    /// A count in a billing period, of which this request takes its cost.
    PerPeriod {
        /// The count.
        permits: u64,
        /// What the request takes of it.
        cost: NonZeroU32,
        /// First instant of the period, which tells its count from the one before.
        period_start: Timestamp,
        /// First instant after the period.
        period_end: Timestamp,
    },
}

pub(super) fn address(shadow: &Shadow, route: &Route, address: IpAddr) -> Option<Limit> {
    Some(Limit {
        scope: LimitScope::Address(route.number, subscriber(address)),
        rule: LimitRule::PerMinute(route.address_limit?),
        shadow: shadow.address || route.address_limit_shadow,
    })
}

pub(super) fn api_key(shadow: &Shadow, key: &ApiKey) -> Option<Limit> {
    Some(Limit {
        scope: LimitScope::ApiKey(key.id),
        rule: LimitRule::PerMinute(key.calls_per_minute?),
        shadow: shadow.key,
    })
}

pub(super) fn plan(shadow: &Shadow, id: TenantId, tenant: &Tenant) -> Limit {
    Limit {
        scope: LimitScope::Tenant(id),
        rule: LimitRule::PerMinute(tenant.calls_per_minute),
        shadow: shadow.plan,
    }
}

pub(super) fn concurrency(shadow: &Shadow, id: TenantId, tenant: &Tenant) -> Option<Limit> {
    Some(Limit {
        scope: LimitScope::Concurrency(id),
        rule: LimitRule::Concurrent(tenant.concurrent_requests?),
        shadow: shadow.concurrency,
    })
}

/// The period is the tenant's, whatever the time: while the next one is late to begin, the count of the last
/// one goes on. A count that started anew by the edge's clock would start anew once more with the period.
pub(super) fn quota(
    shadow: &Shadow,
    id: TenantId,
    tenant: &Tenant,
    route: &Route,
) -> Option<Limit> {
    let meter = route.meter.as_ref()?;
    Some(Limit {
        scope: LimitScope::Quota(id),
        rule: LimitRule::PerPeriod {
            permits: tenant.quota(&meter.name)?,
            cost: meter.weight,
            period_start: tenant.period.start,
            period_end: tenant.period.end,
        },
        shadow: shadow.has_meter(&meter.name),
    })
}
