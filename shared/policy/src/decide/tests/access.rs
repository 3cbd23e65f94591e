//! Tenants that do not pay: what is withheld from them, and who learns of it.

use domain::standing::Standing;

use super::*;

/// What is open to who does not pay, what is read, what is changed, and what is nobody's in particular.
const ROUTES: &str = r#"
upstreams.api = { peers = ["127.0.0.1:1"] }
routes = [
  { methods = ["GET"], path = "/plans", upstream = "api", auth = "public" },
  { methods = ["POST"], path = "/login", upstream = "api", auth = "public" },
  { methods = ["POST"], path = "/logout", upstream = "api", auth = "user", tenant = "none" },
  { methods = ["GET", "POST", "PUT", "PATCH", "DELETE"], path = "/things", upstream = "api", auth = "any", tenant = "required", meter = "messages" },
  { methods = ["GET", "POST", "PUT", "PATCH", "DELETE"], path = "/secrets", upstream = "api", auth = "any", tenant = "required", permission = "ManageBilling" },
  { methods = ["GET", "POST", "PUT", "PATCH", "DELETE"], path = "/invoices", upstream = "api", auth = "any", tenant = "required", open_when_suspended = true },
]
"#;
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
const ACCESSES: [Access; 3] = [Access::Full, Access::ReadOnly, Access::BillingOnly];

/// Acme and strict, which asks for a second factor and an address, pay so much.
fn world(access: Access) -> World {
    let mut world = world_with(ROUTES);
    for number in [ACME, STRICT, SUSPENDED] {
        let known = world.policy.tenant(tenant_id(number)).unwrap().clone();
        let tenant = Tenant { access, ..known };
        world.policy.apply(Change::Tenant(tenant_id(number), Some(tenant)));
    }
    world
}

fn told(request: &Ask<'_>, world: &World) -> (ProblemKind, String) {
    match request.decide(world) {
        Decision::Deny(denial) => (denial.kind, denial.detail.into_owned()),
        Decision::Allow(_) => panic!("allowed"),
    }
}

/// A key and a signed-in person of acme.
fn callers(world: &World, method: &'static str, path: &str) -> [Ask<'static>; 2] {
    let request = Ask { method, ..ask(path) };
    [request.clone().bearer(1), request.authorization(world.user(1)).header(ACME)]
}

#[test]
fn who_is_late_is_served_and_who_is_given_up_is_not() {
    let accesses: Vec<_> = Standing::ALL.iter().map(|standing| standing.access()).collect();
    assert_eq!(accesses, [Access::Full, Access::Full, Access::ReadOnly, Access::BillingOnly]);
}

#[test]
fn every_method_and_route_by_access() {
    for access in ACCESSES {
        let world = world(access);
        for method in METHODS {
            let reads = matches!(method, "GET" | "HEAD");
            let served = match access {
                Access::Full => true,
                Access::ReadOnly => reads,
                Access::BillingOnly => false,
            };
            let expected = if served { "allowed" } else { "payment-required" };
            for caller in callers(&world, method, "/things") {
                assert_eq!(caller.slug(&world), expected, "{access:?} {method}");
            }
            for caller in callers(&world, method, "/invoices") {
                assert_eq!(caller.slug(&world), "allowed", "{access:?} {method}");
            }
        }
        // Of no tenant, or of nobody.
        let logout = Ask { method: "POST", ..ask("/logout") }.authorization(world.user(1));
        assert_eq!(logout.slug(&world), "allowed");
        let at_home = Ask { host: "acme.api.localhost", ..logout };
        assert_eq!(at_home.slug(&world), "allowed");
        for (method, path) in [("GET", "/plans"), ("POST", "/login")] {
            let login = Ask { method, host: "acme.api.localhost", ..ask(path) };
            assert_eq!(login.slug(&world), "allowed");
        }
        // Another tenant pays for itself.
        let other = Ask { method: "POST", ..ask("/things") }.bearer(6);
        assert_eq!(other.slug(&world), "allowed");
    }
}

#[test]
fn a_refusal_says_what_to_do_and_whose_it_was_and_takes_no_limits() {
    let world = world(Access::ReadOnly);
    let [key, _] = callers(&world, "POST", "/things");
    let Decision::Deny(denial) = key.decide(&world) else { panic!("allowed") };
    assert!(denial.detail.contains("`invoices` and `payment-methods` stay open"));
    assert_eq!(denial.route.unwrap().template, "/things");
    let (tenant, principal) = *denial.caller.unwrap();
    assert_eq!(tenant, tenant_id(ACME));
    assert!(matches!(principal, Principal::ApiKey { .. }));
}

#[test]
fn the_operators_suspension_goes_first() {
    let owner = |world: &World| {
        Ask { method: "POST", ..ask("/things") }.authorization(world.user(1)).header(SUSPENDED)
    };
    for access in ACCESSES {
        let world = world(access);
        assert_eq!(owner(&world).slug(&world), "tenant-suspended");
        let open = Ask { path: "/invoices".into(), ..owner(&world) };
        assert_eq!(open.slug(&world), "tenant-suspended");
    }
}

#[test]
fn a_second_factor_a_permission_and_an_address_are_asked_for_before_money() {
    let world = world(Access::BillingOnly);
    let strict = Ask { method: "POST", ..ask("/things") }.header(STRICT);
    let weak = strict.clone().authorization(world.user(1));
    assert_eq!(weak.slug(&world), "two-factor-required");
    let strong = Claims { amr: vec!["pwd".into(), "otp".into()], ..World::claims(1) };
    let strong = strict.authorization(world.token(&strong));
    assert_eq!(strong.slug(&world), "ip-not-allowed");
    assert_eq!(Ask { address: "10.0.0.1", ..strong }.slug(&world), "payment-required");
    let bound = Ask { address: "198.51.100.1", ..ask("/things") }.bearer(4);
    assert_eq!(bound.slug(&world), "ip-not-allowed");
    let powerless = Ask { method: "POST", ..ask("/secrets") };
    assert_eq!(powerless.bearer(5).slug(&world), "permission-denied");
}

proptest! {
    /// Whoever is refused by a tenant that pays is refused in the same words by one that does not; who is served
    /// by one that does not is served by one that pays. So nobody learns of it but who would be served.
    #[test]
    fn only_who_would_be_served_learns_that_nobody_pays(
        credential in 0u8..16,
        method in 0usize..METHODS.len(),
        path in 0usize..7,
        header in proptest::option::of(0u128..6),
        host in 0usize..3,
        inside in any::<bool>(),
        access in 0usize..3,
    ) {
        thread_local!(static WORLDS: [World; 3] = ACCESSES.map(world));
        WORLDS.with(|worlds| {
            let paths = ["/plans", "/login", "/logout", "/things", "/secrets", "/invoices", "/nothing"];
            let hosts = ["localhost", "acme.api.localhost", "strict.api.localhost"];
            let request = |world: &World| Ask {
                method: METHODS[method],
                host: hosts[host],
                tenant: header.map(|number| tenant_id(number).to_string()),
                address: if inside { "10.0.0.1" } else { "192.0.2.1" },
                authorization: match credential {
                    0 => None,
                    // Keys 1 to 8 and one that nobody made; people 1 to 4 and one who is forged.
                    1..=9 => Some(format!("Bearer {}", key_text(credential))),
                    10..=14 => Some(world.user(u128::from(credential - 9))),
                    _ => Some("Bearer forged".to_owned()),
                },
                ..ask(paths[path])
            };
            let (paying, tried) = (&worlds[0], &worlds[access]);
            match request(paying).decide(paying) {
                Decision::Deny(denial) => {
                    let words = (denial.kind, denial.detail.into_owned());
                    assert_eq!(told(&request(tried), tried), words);
                }
                Decision::Allow(grant) => {
                    let of_others = grant.tenant.is_none_or(|(id, _)| id == tenant_id(OTHER));
                    let open = grant.route.open_when_suspended || grant.route.auth == Auth::Public;
                    let reads = matches!(METHODS[method], "GET" | "HEAD");
                    let served = of_others || open || match ACCESSES[access] {
                        Access::Full => true,
                        Access::ReadOnly => reads,
                        Access::BillingOnly => false,
                    };
                    let expected = if served { "allowed" } else { "payment-required" };
                    assert_eq!(request(tried).slug(tried), expected);
                }
            }
        });
    }
}
