//! The decision on a request, straight down: host → route → credential → tenant → membership or scope →
//! address → who pays → limits to take. Total: every request is granted or denied, with the problem and what to do.

mod credential;
mod limits;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use credentials::access_token::Claims;
use credentials::edge_context::{Membership, Principal};
use domain::id::TenantId;
use domain::permission::Scope;
use domain::plan::PlanName;
use domain::problem::ProblemKind;
use domain::standing::Access;
use domain::tenant::TenantStatus;
use jiff::Timestamp;

use self::credential::{Caller, caller};
use crate::cidr::AddressList;
use crate::facts::{HeaderFact, RequestFacts};
use crate::routes::{Auth, Method, Route, RouteMatch, TenantNeed};
use crate::snapshot::{ApiKey, HostTenant, Member, Policy, Tenant};

pub use self::credential::bearer;
pub use self::limits::{Limit, LimitRule, LimitScope, Limits};

/// One detail for a foreign and an unknown tenant, so that the answer does not tell which it was.
const NOT_OF_TENANT: &str =
    "The credential does not belong to the tenant that the request names; use one of that tenant.";

/// What becomes of a request.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the common one, and a box would be an allocation for each request"
)]
pub enum Decision {
    /// It goes on, if its limits allow.
    Allow(Grant),
    /// It is answered here.
    Deny(Denial),
}

/// Leave to go on, and what was established on the way.
#[derive(Debug)]
pub struct Grant {
    /// Where it goes.
    pub route: Arc<Route>,
    /// Its tenant and the tenant's plan.
    pub tenant: Option<(TenantId, PlanName)>,
    /// Who is calling.
    pub principal: Principal,
    /// The limits to take a permit of, all or none.
    pub limits: Limits,
    /// The claims of the access token, when it had to be verified here; worth remembering.
    pub verified: Option<Box<Claims>>,
}

/// Why a request does not go on.
#[derive(Debug)]
pub struct Denial {
    /// The kind of problem.
    pub kind: ProblemKind,
    /// What to do, in a sentence or two.
    pub detail: Cow<'static, str>,
    /// The methods that the path knows, for the `Allow` header.
    pub allow: Vec<Method>,
    /// The route, once it was found.
    pub route: Option<Arc<Route>>,
    /// Who asked of which tenant, once it was known that they belong to it.
    pub caller: Option<Box<(TenantId, Principal)>>,
}

impl Denial {
    fn new(kind: ProblemKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), allow: Vec::new(), route: None, caller: None }
    }
}

/// Decides on the request that `facts` describe. Allocates nothing when a known caller is granted.
#[must_use]
pub fn decide(policy: &Policy, facts: &RequestFacts<'_>, now: Timestamp) -> Decision {
    let found = match host_and_route(policy, facts) {
        Ok(found) => found,
        Err(denial) => return Decision::Deny(denial),
    };
    let route = found.1;
    let shadow = policy.site.routes.shadow();
    let address = limits::address(shadow, route, facts.client_address);
    let mut grant = Grant {
        route: Arc::clone(route),
        tenant: None,
        principal: Principal::Anonymous,
        limits: Limits { address, ..Limits::default() },
        verified: None,
    };
    match complete(policy, facts, now, found, &mut grant) {
        Ok(()) => Decision::Allow(grant),
        Err(denial) => Decision::Deny(Denial {
            caller: grant.tenant.map(|(id, _)| Box::new((id, grant.principal))),
            route: Some(grant.route),
            ..denial
        }),
    }
}

/// Fills in the grant; where it ends early, what is filled in by then is true.
fn complete(
    policy: &Policy,
    facts: &RequestFacts<'_>,
    now: Timestamp,
    (host_tenant, route, path_tenant): Found<'_, '_>,
    grant: &mut Grant,
) -> Result<(), Denial> {
    let address = facts.client_address;
    let shadow = policy.site.routes.shadow();

    if route.auth == Auth::Public {
        if let Some(id) = host_tenant {
            grant.tenant = Some((id, active(policy, id)?.plan));
        }
        return Ok(());
    }
    let caller = caller(policy, facts, now, route.auth)?;

    let named = named_tenant(facts, host_tenant, path_tenant)?;
    let tenant_id = match (&caller, route.tenant) {
        (Caller::User(_), TenantNeed::None) => None,
        (Caller::User(claims), TenantNeed::Required) => Some(tenant_of_user(claims, named)?),
        (Caller::ApiKey(key), _) => Some(tenant_of_key(key, named)?),
    };
    grant.principal = principal(policy, &caller, tenant_id)?;

    let mut access = Access::Full;
    if let Some(tenant_id) = tenant_id {
        let tenant = active(policy, tenant_id)?;
        access = tenant.access;
        grant.tenant = Some((tenant_id, tenant.plan));
        grant.limits.tenant = Some(limits::plan(shadow, tenant_id, tenant));
        grant.limits.concurrency = limits::concurrency(shadow, tenant_id, tenant);
        grant.limits.quota = limits::quota(shadow, tenant_id, tenant, route);
        check_second_factor(tenant, route, &caller)?;
        check_permission(route, &grant.principal)?;
        check_address(&tenant.networks, address, "tenant")?;
    }

    match caller {
        Caller::ApiKey(key) => {
            check_address(&key.networks, address, "API key")?;
            grant.limits.api_key = limits::api_key(shadow, key);
        }
        Caller::User(Cow::Owned(claims)) => grant.verified = Some(Box::new(claims)),
        Caller::User(Cow::Borrowed(_)) => {}
    }
    // Last: only who would be served otherwise may learn that the tenant does not pay. For that reason public
    // routes are none the wiser, either.
    check_access(access, route, facts.method)
}

// --- host and route ---

type Found<'t, 'f> = (Option<TenantId>, &'t Arc<Route>, Option<&'f str>);

fn host_and_route<'t, 'f>(
    policy: &'t Policy,
    facts: &RequestFacts<'f>,
) -> Result<Found<'t, 'f>, Denial> {
    let host_tenant = match policy.host_tenant(facts.host) {
        HostTenant::Platform => None,
        HostTenant::Tenant(id) => Some(id),
        HostTenant::Unknown => {
            return Err(Denial::new(
                ProblemKind::TenantNotFound,
                "No tenant is reached at this host; check the spelling of the subdomain or domain.",
            ));
        }
    };
    match policy.site.routes.find(facts.method, facts.path) {
        RouteMatch::Found { route, tenant } => Ok((host_tenant, route, tenant)),
        RouteMatch::OtherMethods(allow) => Err(Denial {
            allow,
            ..Denial::new(
                ProblemKind::MethodNotAllowed,
                "The path is served with other methods; the `Allow` header lists them.",
            )
        }),
        RouteMatch::Nothing => Err(Denial::new(
            ProblemKind::NotFound,
            "Nothing is served at this path; `/docs` lists all there is.",
        )),
    }
}

// --- tenant ---

/// The one tenant that host, header and path name, if any of them does.
fn named_tenant(
    facts: &RequestFacts<'_>,
    host: Option<TenantId>,
    path: Option<&str>,
) -> Result<Option<TenantId>, Denial> {
    let path = match path {
        None => None,
        Some(text) => Some(text.parse::<TenantId>().map_err(|_| {
            Denial::new(
                ProblemKind::NotFound,
                "The tenant in the path is not a tenant's id; it starts with `tenant_`.",
            )
        })?),
    };
    let header = match facts.tenant {
        HeaderFact::Absent => None,
        HeaderFact::Value(text) => Some(text.parse::<TenantId>().map_err(|_| {
            Denial::new(
                ProblemKind::MalformedRequest,
                "`X-Tenant-ID` is not a tenant's id; it starts with `tenant_`.",
            )
        })?),
        HeaderFact::Unusable => {
            return Err(Denial::new(
                ProblemKind::TenantMismatch,
                "`X-Tenant-ID` was sent several times with different values; send it once.",
            ));
        }
    };
    let named = host.or(path).or(header);
    let agreed = [host, path, header].into_iter().flatten().all(|hint| Some(hint) == named);
    if agreed { Ok(named) } else { Err(Denial::new(ProblemKind::TenantMismatch, NOT_OF_TENANT)) }
}

fn active(policy: &Policy, id: TenantId) -> Result<&Tenant, Denial> {
    policy.tenant(id).filter(|tenant| tenant.status == TenantStatus::Active).ok_or_else(|| {
        Denial::new(
            ProblemKind::TenantSuspended,
            "The tenant was suspended or closed; contact support to have it restored.",
        )
    })
}

fn tenant_of_key(key: &ApiKey, named: Option<TenantId>) -> Result<TenantId, Denial> {
    if named.is_none_or(|id| id == key.tenant_id) {
        Ok(key.tenant_id)
    } else {
        Err(Denial::new(ProblemKind::TenantMismatch, NOT_OF_TENANT))
    }
}

fn tenant_of_user(claims: &Claims, named: Option<TenantId>) -> Result<TenantId, Denial> {
    let named = named.ok_or_else(|| {
        Denial::new(
            ProblemKind::TenantMismatch,
            "The request names no tenant; send `X-Tenant-ID`, or call the tenant's own host.",
        )
    })?;
    if claims.tid.is_none_or(|only| only == named) {
        Ok(named)
    } else {
        Err(Denial::new(ProblemKind::TenantMismatch, NOT_OF_TENANT))
    }
}

// --- membership and scope ---

fn principal(
    policy: &Policy,
    caller: &Caller<'_>,
    tenant_id: Option<TenantId>,
) -> Result<Principal, Denial> {
    let claims = match caller {
        Caller::ApiKey(key) => {
            return Ok(Principal::ApiKey { api_key_id: key.id, permissions: key.permissions });
        }
        Caller::User(claims) => claims,
    };
    let membership = match tenant_id {
        None => None,
        Some(tenant_id) => {
            let member = policy
                .member(tenant_id, claims.sub)
                .ok_or_else(|| Denial::new(ProblemKind::TenantMismatch, NOT_OF_TENANT))?;
            let Member { id, role, permissions } = *member;
            Some(Membership { id, role, permissions })
        }
    };
    Ok(Principal::User { user_id: claims.sub, session_id: claims.sid, membership })
}

fn check_second_factor(tenant: &Tenant, route: &Route, caller: &Caller<'_>) -> Result<(), Denial> {
    match caller {
        Caller::User(claims)
            if tenant.require_two_factor
                && !route.without_two_factor
                && !claims.used_second_factor() =>
        {
            Err(Denial::new(
                ProblemKind::TwoFactorRequired,
                "The tenant requires a second factor; enrol one and sign in with it.",
            ))
        }
        _ => Ok(()),
    }
}

fn check_permission(route: &Route, principal: &Principal) -> Result<(), Denial> {
    let Some(needed) = route.permission else { return Ok(()) };
    if principal.permissions().contains(needed) {
        return Ok(());
    }
    let scope = Scope::ALL.iter().find(|scope| scope.permission() == needed);
    let detail = match (principal, scope) {
        (Principal::ApiKey { .. }, Some(scope)) => {
            format!("This needs an API key with the scope `{scope}`; create one.")
        }
        (Principal::ApiKey { .. }, None) => {
            "API keys cannot do this; use a signed-in person's access token.".to_owned()
        }
        _ => format!(
            "This needs the permission `{needed}`; ask an owner or admin of the tenant for it."
        ),
    };
    Err(Denial::new(ProblemKind::PermissionDenied, detail))
}

// --- address ---

fn check_address(list: &AddressList, address: IpAddr, whose: &str) -> Result<(), Denial> {
    if list.permits(address) {
        return Ok(());
    }
    let address = address.to_canonical();
    Err(Denial::new(
        ProblemKind::IpNotAllowed,
        format!("Your address {address} is not on the {whose}'s allowlist; have it added."),
    ))
}

// --- who pays ---

fn check_access(access: Access, route: &Route, method: &str) -> Result<(), Denial> {
    let detail = match access {
        Access::Full => return Ok(()),
        _ if route.open_when_suspended => return Ok(()),
        Access::ReadOnly if Method::of(method) == Some(Method::Get) => return Ok(()),
        Access::ReadOnly => {
            "The tenant has overdue invoices and may only read; pay them or set another way to pay: the tenant's \
            `invoices` and `payment-methods` stay open, and all is as before within seconds."
        }
        Access::BillingOnly => {
            "The tenant has overdue invoices and is served nothing but billing; pay them or set another way to \
            pay: the tenant's `invoices` and `payment-methods` stay open, and all is as before within seconds."
        }
    };
    Err(Denial::new(ProblemKind::PaymentRequired, detail))
}

#[cfg(test)]
mod tests;
