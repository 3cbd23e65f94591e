use std::net::IpAddr;
use std::num::NonZeroU32;

use credentials::SymmetricKey;
use credentials::access_token::{PublicJwk, TokenIssuer, generate_signing_key};
use credentials::api_key::{ApiKey as Secret256, Pepper};
use domain::host::HostName;
use domain::id::{ApiKeyId, MembershipId, SessionId, SigningKeyId, UserId};
use domain::meter::MeterName;
use domain::period::Period;
use domain::permission::{PermissionSet, Role};
use domain::secret::Secret;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use uuid::Uuid;

use super::*;
use crate::change::Change;
use crate::hosts::PlatformHosts;
use crate::routes::RouteTable;
use crate::snapshot::Site;

mod access;
mod limits;

const ROUTES: &str = r#"
upstreams.api = { peers = ["127.0.0.1:1"] }
routes = [
  { methods = ["GET"], path = "/plans", upstream = "api", auth = "public", address_limit = 7 },
  { methods = ["POST"], path = "/logout", upstream = "api", auth = "user", tenant = "none" },
  { methods = ["GET"], path = "/dashboard", upstream = "api", auth = "any", tenant = "required", permission = "ViewUsage" },
  { methods = ["POST"], path = "/enrol", upstream = "api", auth = "user", tenant = "required", without_two_factor = true },
  { methods = ["GET"], path = "/tenants/{tenant_id}", upstream = "api", auth = "any", tenant = "required", permission = "ViewTenant" },
  { methods = ["POST"], path = "/tenants/{tenant_id}/upgrade", upstream = "api", auth = "any", tenant = "required", permission = "ManageBilling" },
  { methods = ["POST"], path = "/tenants/{tenant_id}/send", upstream = "api", auth = "key", tenant = "required", permission = "SendMessages" },
  { methods = ["POST"], path = "/broadcast", upstream = "api", auth = "any", tenant = "required", meter = "messages", weight = 3 },
  { methods = ["POST"], path = "/import", upstream = "api", auth = "any", tenant = "required", meter = "contacts_imported" },
]
"#;

const ACME: u128 = 1;
const OTHER: u128 = 2;
const STRICT: u128 = 3;
const SUSPENDED: u128 = 4;
const UNKNOWN: u128 = 99;

fn tenant_id(number: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(number))
}

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

struct World {
    policy: Policy,
    issuer: TokenIssuer,
}

fn key_text(number: u8) -> String {
    Secret256::generate([number; 32]).expose().clone()
}

fn pepper() -> Pepper {
    Pepper::new(SymmetricKey::new(Secret::new([1; 32])))
}

fn tenant(subdomain: &str, status: TenantStatus) -> Tenant {
    Tenant {
        subdomain: subdomain.into(),
        status,
        access: Access::Full,
        plan: PlanName::Free,
        calls_per_minute: NonZeroU32::new(10).unwrap(),
        concurrent_requests: NonZeroU32::new(5),
        quotas: [(MeterName::messages(), 1_000)].into(),
        period: Period {
            start: Timestamp::from_second(1_699_000_000).unwrap(),
            end: Timestamp::from_second(1_701_000_000).unwrap(),
        },
        require_two_factor: false,
        networks: AddressList::default(),
    }
}

fn key(tenant: u128, scopes: &[Scope]) -> ApiKey {
    ApiKey {
        id: ApiKeyId::from_uuid(Uuid::from_u128(5)),
        tenant_id: tenant_id(tenant),
        permissions: scopes.iter().map(|scope| scope.permission()).collect(),
        calls_per_minute: None,
        networks: AddressList::default(),
        expires_at: None,
        revoked: false,
    }
}

fn issuer() -> (TokenIssuer, PublicJwk) {
    let id = SigningKeyId::from_uuid(Uuid::from_u128(9));
    let (private, public) = generate_signing_key(id, &SystemRandom::new()).unwrap();
    (TokenIssuer::new(id, &private).unwrap(), public)
}

/// acme (owner 1, read-only 2, keys 1-5), other (owner 3, key 6), strict (owner 1, second factor, one
/// network, key 7), suspended (owner 1, key 8).
fn world() -> World {
    world_with(ROUTES)
}

fn world_with(routes: &str) -> World {
    let (issuer, jwk) = issuer();
    let site = Site {
        hosts: PlatformHosts::new(
            "api.localhost".parse().unwrap(),
            ["localhost".parse::<HostName>().unwrap()],
        ),
        routes: RouteTable::parse("routes.toml", routes).unwrap(),
        peppers: vec![Pepper::new(SymmetricKey::new(Secret::new([2; 32]))), pepper()],
        token_issuer: "pytake".into(),
        token_audience: "pytake-api".into(),
    };
    let mut policy = Policy::new(Arc::new(site));
    policy.apply(Change::SigningKeys(vec![jwk]));
    let strict = Tenant {
        require_two_factor: true,
        networks: AddressList::new(["10.0.0.0/8".parse().unwrap()]),
        ..tenant("strict", TenantStatus::Active)
    };
    let unlimited = Tenant {
        concurrent_requests: None,
        quotas: [].into(),
        ..tenant("other", TenantStatus::Active)
    };
    for (number, tenant) in [
        (ACME, tenant("acme", TenantStatus::Active)),
        (OTHER, unlimited),
        (SUSPENDED, tenant("stopped", TenantStatus::Suspended)),
        (STRICT, strict),
    ] {
        policy.apply(Change::Tenant(tenant_id(number), Some(tenant)));
    }
    policy.apply(Change::Domain("shop.example".parse().unwrap(), Some(tenant_id(ACME))));
    for (tenant, user, role) in [
        (ACME, 1, Role::Owner),
        (ACME, 2, Role::ReadOnly),
        (OTHER, 3, Role::Owner),
        (STRICT, 1, Role::Owner),
        (SUSPENDED, 1, Role::Owner),
    ] {
        let member = Member {
            id: MembershipId::from_uuid(Uuid::from_u128(user)),
            role,
            permissions: role.permissions(),
        };
        let user = UserId::from_uuid(Uuid::from_u128(user));
        policy.apply(Change::Member(tenant_id(tenant), user, Some(member)));
    }
    let all = Scope::ALL;
    let local = AddressList::new(["192.0.2.0/24".parse().unwrap()]);
    let calls_per_minute = NonZeroU32::new(3);
    for (number, api_key) in [
        (1, key(ACME, all)),
        (2, ApiKey { revoked: true, ..key(ACME, all) }),
        (3, ApiKey { expires_at: Some(now()), ..key(ACME, all) }),
        (4, ApiKey { networks: local, calls_per_minute, ..key(ACME, all) }),
        (5, key(ACME, &[Scope::WhatsAppSend])),
        (6, key(OTHER, all)),
        (7, key(STRICT, all)),
        (8, key(SUSPENDED, all)),
    ] {
        let hash = Secret256::generate([number; 32]).hash(&pepper());
        policy.apply(Change::ApiKey(hash, Some(api_key)));
    }
    let ended = SessionId::from_uuid(Uuid::from_u128(666));
    policy.apply(Change::RevokedSession(ended, Some(now())));
    World { policy, issuer }
}

impl World {
    fn claims(user: u128) -> Claims {
        let seconds = now().as_second();
        Claims {
            iss: "pytake".into(),
            aud: "pytake-api".into(),
            sub: UserId::from_uuid(Uuid::from_u128(user)),
            sid: SessionId::from_uuid(Uuid::from_u128(user)),
            tid: None,
            amr: vec!["pwd".into()],
            iat: seconds,
            nbf: seconds,
            exp: seconds + 600,
        }
    }

    fn token(&self, claims: &Claims) -> String {
        format!("Bearer {}", self.issuer.issue(claims).unwrap().expose())
    }

    fn user(&self, user: u128) -> String {
        self.token(&Self::claims(user))
    }
}

/// A request in a line: what is not said is the platform host, GET, no credential.
#[derive(Clone)]
struct Ask<'a> {
    host: &'a str,
    method: &'a str,
    path: String,
    authorization: Option<String>,
    api_key: Option<String>,
    tenant: Option<String>,
    address: &'a str,
}

fn ask(path: &str) -> Ask<'static> {
    Ask {
        host: "localhost",
        method: "GET",
        path: path.to_owned(),
        authorization: None,
        api_key: None,
        tenant: None,
        address: "192.0.2.1",
    }
}

fn ask_tenant(number: u128) -> Ask<'static> {
    ask(&format!("/tenants/{}", tenant_id(number)))
}

impl Ask<'_> {
    fn bearer(mut self, key: u8) -> Self {
        self.authorization = Some(format!("Bearer {}", key_text(key)));
        self
    }

    fn authorization(mut self, value: String) -> Self {
        self.authorization = Some(value);
        self
    }

    fn header(mut self, number: u128) -> Self {
        self.tenant = Some(tenant_id(number).to_string());
        self
    }

    fn decide(&self, world: &World) -> Decision {
        let host: HostName = self.host.parse().unwrap();
        let fact = |value: &'_ Option<String>| value.clone();
        let (authorization, api_key, tenant) =
            (fact(&self.authorization), fact(&self.api_key), fact(&self.tenant));
        let of = |value: &'static str| HeaderFact::Value(value);
        let leak = |value: Option<String>| {
            value.map_or(HeaderFact::Absent, |text| of(Box::leak(text.into_boxed_str())))
        };
        let facts = RequestFacts {
            host: &host,
            method: self.method,
            path: &self.path,
            authorization: leak(authorization),
            api_key: leak(api_key),
            tenant: leak(tenant),
            client_address: self.address.parse::<IpAddr>().unwrap(),
            remembered: None,
        };
        decide(&world.policy, &facts, now())
    }

    fn slug(&self, world: &World) -> &'static str {
        match self.decide(world) {
            Decision::Allow(_) => "allowed",
            Decision::Deny(denial) => denial.kind.slug(),
        }
    }

    fn grant(&self, world: &World) -> Grant {
        match self.decide(world) {
            Decision::Allow(grant) => grant,
            Decision::Deny(denial) => panic!("{}: {}", denial.kind.slug(), denial.detail),
        }
    }
}

#[test]
fn hosts_and_routes() {
    let world = world();
    assert_eq!(
        Ask { host: "nobody.api.localhost", ..ask("/plans") }.slug(&world),
        "tenant-not-found"
    );
    assert_eq!(Ask { host: "other.example", ..ask("/plans") }.slug(&world), "tenant-not-found");
    assert_eq!(ask("/nothing").slug(&world), "not-found");
    assert_eq!(Ask { method: "DELETE", ..ask("/plans") }.slug(&world), "method-not-allowed");
    assert_eq!(
        Ask { host: "acme.api.localhost", ..ask("/dashboard") }.slug(&world),
        "unauthenticated"
    );
    assert_eq!(
        Ask { host: "stopped.api.localhost", ..ask("/plans") }.slug(&world),
        "tenant-suspended"
    );
    let Decision::Deny(denial) = (Ask { method: "PUT", ..ask("/plans") }).decide(&world) else {
        panic!("allowed");
    };
    assert_eq!(denial.allow, [Method::Get]);
}

fn per_minute(calls: u32) -> Option<LimitRule> {
    NonZeroU32::new(calls).map(LimitRule::PerMinute)
}

#[test]
fn public_routes_look_at_no_credential_and_limit_the_address() {
    let world = world();
    let grant = Ask { host: "acme.api.localhost", ..ask("/plans") }.bearer(6).grant(&world);
    assert_eq!(grant.principal, Principal::Anonymous);
    assert_eq!(grant.tenant, Some((tenant_id(ACME), PlanName::Free)));
    assert_eq!(grant.limits.address.map(|limit| limit.rule), per_minute(7));
    assert_eq!(Limits { address: None, ..grant.limits }, Limits::default());
}

#[test]
fn an_api_key_names_its_tenant() {
    let world = world();
    let grant = ask("/dashboard").bearer(1).grant(&world);
    assert_eq!(grant.tenant, Some((tenant_id(ACME), PlanName::Free)));
    assert_eq!(grant.limits.tenant.map(|limit| limit.rule), per_minute(10));
    assert_eq!(grant.limits.api_key, None);
    let own = ask("/dashboard").bearer(4).grant(&world).limits.api_key;
    assert_eq!(own.map(|limit| limit.rule), per_minute(3));
    assert_eq!(Ask { host: "shop.example", ..ask("/dashboard") }.bearer(1).slug(&world), "allowed");
}

#[test]
fn one_credential_twice_is_fine_and_two_are_not() {
    let world = world();
    let both = |key| Ask { api_key: Some(key_text(key)), ..ask("/dashboard") };
    assert_eq!(both(1).slug(&world), "allowed");
    assert_eq!(both(1).bearer(1).slug(&world), "allowed");
    assert_eq!(both(1).bearer(6).slug(&world), "ambiguous-credentials");
    assert_eq!(both(1).authorization(world.user(1)).slug(&world), "ambiguous-credentials");
}

#[test]
fn bad_keys() {
    let world = world();
    for (number, slug) in [
        (2, "api-key-revoked"),
        (3, "api-key-expired"),
        (77, "api-key-invalid"),
        (8, "tenant-suspended"),
    ] {
        assert_eq!(ask("/dashboard").bearer(number).slug(&world), slug);
    }
    for text in ["Bearer pk_1234567890abcdef", "bearer pk_"] {
        assert_eq!(ask("/dashboard").authorization(text.into()).slug(&world), "api-key-invalid");
    }
    for text in ["Basic dTpw", "Bearer", "Bearer  ", ""] {
        assert_eq!(ask("/dashboard").authorization(text.into()).slug(&world), "unauthenticated");
    }
}

#[test]
fn bad_tokens() {
    let world = world();
    let with = |claims: &Claims| {
        ask("/dashboard").header(ACME).authorization(world.token(claims)).slug(&world)
    };
    assert_eq!(with(&World::claims(1)), "allowed");
    assert_eq!(with(&Claims { exp: now().as_second() - 6, ..World::claims(1) }), "token-expired");
    assert_eq!(with(&Claims { iss: "else".into(), ..World::claims(1) }), "token-invalid");
    let ended = SessionId::from_uuid(Uuid::from_u128(666));
    assert_eq!(with(&Claims { sid: ended, ..World::claims(1) }), "token-invalid");
    let (foreign, _) = issuer();
    let foreign = World { issuer: foreign, ..self::world() }.user(1);
    assert_eq!(ask("/dashboard").header(ACME).authorization(foreign).slug(&world), "token-invalid");
}

#[test]
fn a_remembered_token_still_expires_and_is_still_revoked() {
    let world = world();
    let host: HostName = "localhost".parse().unwrap();
    let acme = tenant_id(ACME).to_string();
    let check = |claims: &Claims| {
        let facts = RequestFacts {
            host: &host,
            method: "GET",
            path: "/dashboard",
            authorization: HeaderFact::Value("Bearer remembered"),
            api_key: HeaderFact::Absent,
            tenant: HeaderFact::Value(&acme),
            client_address: crate::cidr::UNKNOWN_ADDRESS,
            remembered: Some(claims),
        };
        match decide(&world.policy, &facts, now()) {
            Decision::Allow(grant) => grant.verified.map_or("remembered", |_| "verified"),
            Decision::Deny(denial) => denial.kind.slug(),
        }
    };
    assert_eq!(check(&World::claims(1)), "remembered");
    assert_eq!(check(&Claims { exp: now().as_second() - 6, ..World::claims(1) }), "token-expired");
    let ended = SessionId::from_uuid(Uuid::from_u128(666));
    assert_eq!(check(&Claims { sid: ended, ..World::claims(1) }), "token-invalid");
}

#[test]
fn all_tenant_hints_agree_or_nothing() {
    let world = world();
    let owner = || ask_tenant(ACME).authorization(world.user(1));
    assert_eq!(owner().slug(&world), "allowed");
    assert_eq!(Ask { host: "acme.api.localhost", ..owner().header(ACME) }.slug(&world), "allowed");
    assert_eq!(Ask { host: "other.api.localhost", ..owner() }.slug(&world), "tenant-mismatch");
    assert_eq!(owner().header(OTHER).slug(&world), "tenant-mismatch");
    assert_eq!(ask_tenant(OTHER).bearer(1).slug(&world), "tenant-mismatch");
    assert_eq!(ask("/dashboard").header(OTHER).bearer(1).slug(&world), "tenant-mismatch");
    assert_eq!(ask("/dashboard").authorization(world.user(1)).slug(&world), "tenant-mismatch");
    let tenant = Some("acme".to_owned());
    assert_eq!(Ask { tenant, ..owner() }.slug(&world), "malformed-request");
    assert_eq!(ask("/tenants/acme").authorization(world.user(1)).slug(&world), "not-found");
    assert_eq!(ask("/tenants/acme").slug(&world), "unauthenticated");
}

#[test]
fn a_foreign_and_an_unknown_tenant_are_told_alike() {
    let world = world();
    let detail = |number| match ask_tenant(number).authorization(world.user(1)).decide(&world) {
        Decision::Deny(denial) => (denial.kind, denial.detail),
        Decision::Allow(_) => panic!("allowed"),
    };
    assert_eq!(detail(OTHER), detail(UNKNOWN));
    assert_eq!(detail(OTHER).0, ProblemKind::TenantMismatch);
    assert_eq!(detail(SUSPENDED).0, ProblemKind::TenantSuspended);
}

#[test]
fn a_token_for_one_tenant_is_good_for_no_other() {
    let world = world();
    let limited = |tenant| {
        let claims = Claims { tid: Some(tenant_id(tenant)), ..World::claims(1) };
        ask_tenant(ACME).authorization(world.token(&claims)).slug(&world)
    };
    assert_eq!((limited(ACME), limited(OTHER)), ("allowed", "tenant-mismatch"));
}

#[test]
fn permission_comes_from_role_or_scope() {
    let world = world();
    let upgrade =
        || Ask { method: "POST", ..ask(&format!("/tenants/{}/upgrade", tenant_id(ACME))) };
    assert_eq!(upgrade().authorization(world.user(1)).slug(&world), "allowed");
    assert_eq!(upgrade().authorization(world.user(2)).slug(&world), "permission-denied");
    assert_eq!(upgrade().bearer(1).slug(&world), "permission-denied");
    assert_eq!(ask("/dashboard").bearer(5).slug(&world), "permission-denied");
    let send = || Ask { method: "POST", ..ask(&format!("/tenants/{}/send", tenant_id(ACME))) };
    assert_eq!(send().bearer(5).slug(&world), "allowed");
    assert_eq!(send().authorization(world.user(1)).slug(&world), "permission-denied");
    let logout = || Ask { method: "POST", ..ask("/logout") };
    assert_eq!(logout().bearer(1).slug(&world), "permission-denied");
    let grant = logout().authorization(world.user(1)).grant(&world);
    assert_eq!(grant.principal.permissions(), PermissionSet::EMPTY);
    assert!(grant.verified.is_some());
}

#[test]
fn second_factor_and_addresses() {
    let world = world();
    let inside = |claims: &Claims| Ask {
        address: "::ffff:10.1.1.1",
        ..ask_tenant(STRICT).authorization(world.token(claims))
    };
    let strong = Claims { amr: vec!["pwd".into(), "otp".into()], ..World::claims(1) };
    assert_eq!(inside(&World::claims(1)).slug(&world), "two-factor-required");
    assert_eq!(inside(&strong).slug(&world), "allowed");
    assert_eq!(Ask { address: "192.0.2.1", ..inside(&strong) }.slug(&world), "ip-not-allowed");
    let enrol = Ask { method: "POST", path: "/enrol".into(), ..inside(&World::claims(1)) };
    assert_eq!(enrol.header(STRICT).slug(&world), "allowed");
    assert_eq!(Ask { address: "10.0.0.1", ..ask("/dashboard") }.bearer(7).slug(&world), "allowed");
    assert_eq!(ask("/dashboard").bearer(7).slug(&world), "ip-not-allowed");
    assert_eq!(
        Ask { address: "198.51.100.1", ..ask("/dashboard") }.bearer(4).slug(&world),
        "ip-not-allowed"
    );
}

proptest! {
    /// Whatever is asked: no grant on a protected route without a known, live key of the very tenant or an
    /// active member of it.
    #[test]
    fn nothing_is_granted_to_the_absent(
        key in proptest::option::of(0u8..12),
        user in proptest::option::of(0u128..6),
        path in 0usize..5,
        path_tenant in 0u128..7,
        header in proptest::option::of(0u128..7),
        host in 0usize..4,
    ) {
        thread_local!(static WORLD: World = world());
        WORLD.with(|world| {
            let hosts = ["localhost", "acme.api.localhost", "other.api.localhost", "stopped.api.localhost"];
            let paths = [
                ask("/dashboard"),
                ask_tenant(path_tenant),
                Ask { method: "POST", ..ask("/logout") },
                Ask { method: "POST", ..ask(&format!("/tenants/{}/send", tenant_id(path_tenant))) },
                Ask { method: "POST", ..ask(&format!("/tenants/{}/upgrade", tenant_id(path_tenant))) },
            ];
            let request = Ask {
                host: hosts[host],
                authorization: user.map(|user| world.user(user)),
                api_key: key.map(key_text),
                tenant: header.map(|number| tenant_id(number).to_string()),
                ..paths[path].clone()
            };
            let Decision::Allow(grant) = request.decide(world) else { return };
            match grant.principal {
                Principal::Anonymous => panic!("anonymous on a protected route"),
                Principal::ApiKey { .. } => {
                    assert!(user.is_none());
                    let tenant = grant.tenant.unwrap().0;
                    assert_eq!(tenant, tenant_id(if key == Some(6) { OTHER } else { ACME }));
                    assert!([Some(1), Some(4), Some(5), Some(6)].contains(&key));
                    assert!(path != 1 || tenant == tenant_id(path_tenant));
                    assert!(header.is_none_or(|number| tenant_id(number) == tenant));
                }
                Principal::User { user_id, membership, .. } => {
                    assert!(key.is_none());
                    assert_eq!(membership.is_some(), path != 2);
                    if let Some((tenant, _)) = grant.tenant {
                        assert!(world.policy.member(tenant, user_id).is_some());
                        assert!(header.is_none_or(|number| tenant_id(number) == tenant));
                        assert!(host == 0 || tenant == tenant_id([0, ACME, OTHER, SUSPENDED][host]));
                    }
                }
            }
        });
    }

    #[test]
    fn any_header_is_decided_without_panic(value in "\\PC{0,80}", tenant in "\\PC{0,40}") {
        thread_local!(static WORLD: World = world());
        WORLD.with(|world| {
            let request = Ask {
                authorization: Some(value.clone()),
                tenant: Some(tenant),
                ..ask("/dashboard")
            };
            assert!(matches!(request.decide(world), Decision::Deny(_)));
            let request = Ask { authorization: Some(format!("Bearer {value}")), ..request };
            assert!(matches!(request.decide(world), Decision::Deny(_)));
        });
    }
}
