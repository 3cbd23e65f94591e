//! Which limits a granted request counts against.

use super::*;

#[test]
fn calls_in_progress_are_limited_where_calls_a_minute_are() {
    let world = world();
    let of = |number| LimitScope::Concurrency(tenant_id(number));
    let limit = ask("/dashboard").bearer(1).grant(&world).limits.concurrency.unwrap();
    assert_eq!(limit.scope, of(ACME));
    assert_eq!(limit.rule, LimitRule::Concurrent(NonZeroU32::new(5).unwrap()));
    let signed_in = ask_tenant(ACME).authorization(world.user(1)).grant(&world);
    assert_eq!(signed_in.limits.concurrency, Some(limit));
    let logout = Ask { method: "POST", ..ask("/logout") }.authorization(world.user(1));
    assert_eq!(logout.grant(&world).limits, Limits::default());
    // Other's plan has no such limit.
    assert_eq!(ask("/dashboard").bearer(6).grant(&world).limits.concurrency, None);
}

#[test]
fn a_quota_is_for_a_route_with_a_meter_and_a_tenant_with_a_count_of_it() {
    let world = world();
    let post = |path, key| Ask { method: "POST", ..ask(path) }.bearer(key).grant(&world);
    let tenant = tenant("acme", TenantStatus::Active);
    let limit = post("/broadcast", 1).limits.quota.unwrap();
    assert_eq!(limit.scope, LimitScope::Quota(tenant_id(ACME)));
    let rule = LimitRule::PerPeriod {
        permits: 1_000,
        cost: NonZeroU32::new(3).unwrap(),
        period_start: tenant.period.start,
        period_end: tenant.period.end,
    };
    assert_eq!(limit.rule, rule);
    assert_eq!(post("/broadcast", 1).route.meter.as_ref().unwrap().name, MeterName::messages());
    assert_eq!(post("/import", 1).limits.quota, None, "no count of the meter");
    assert_eq!(post("/broadcast", 6).limits.quota, None, "no count at all");
    assert_eq!(ask("/dashboard").bearer(1).grant(&world).limits.quota, None, "no meter");
}

/// A day after the period's end nobody has begun the next: the count of the one that is known goes on.
#[test]
fn a_late_rollover_neither_forgives_nor_denies() {
    let mut world = world();
    let end = Timestamp::from_second(now().as_second() - 86_400).unwrap();
    let start = Timestamp::from_second(end.as_second() - 30 * 86_400).unwrap();
    let late = Tenant { period: Period { start, end }, ..tenant("acme", TenantStatus::Active) };
    world.policy.apply(Change::Tenant(tenant_id(ACME), Some(late)));
    let grant = Ask { method: "POST", ..ask("/broadcast") }.bearer(1).grant(&world);
    let LimitRule::PerPeriod { period_start, period_end, .. } = grant.limits.quota.unwrap().rule
    else {
        panic!("another rule");
    };
    assert_eq!((period_start, period_end), (start, end));
}

#[test]
fn limits_in_shadow_are_told_and_so_marked() {
    let marks = |limits: Limits| {
        let Limits { address, api_key, tenant, concurrency, quota } = limits;
        [address, api_key, tenant, concurrency, quota].map(|limit| limit.map(|limit| limit.shadow))
    };
    let asked = |world: &World| {
        let grant = Ask { method: "POST", ..ask("/broadcast") }.bearer(4).grant(world);
        (marks(grant.limits), marks(ask("/plans").grant(world).limits)[0])
    };
    let (f, t) = (Some(false), Some(true));
    assert_eq!(asked(&world()), ([None, f, f, f, f], f));
    for (name, expected) in [
        ("plan", ([None, f, t, f, f], f)),
        ("key", ([None, t, f, f, f], f)),
        ("address", ([None, f, f, f, f], t)),
        ("concurrency", ([None, f, f, t, f], f)),
        ("messages", ([None, f, f, f, t], f)),
        ("contacts_imported", ([None, f, f, f, f], f)),
    ] {
        let world = world_with(&format!("limits_in_shadow = [\"{name}\"]\n{ROUTES}"));
        assert_eq!(asked(&world), expected, "{name}");
    }
    let one = ROUTES.replace("address_limit = 7", "address_limit = 7, address_limit_shadow = true");
    assert_eq!(asked(&world_with(&one)), ([None, f, f, f, f], t));
}
