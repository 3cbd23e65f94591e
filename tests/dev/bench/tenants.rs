//! Many tenants, as rows.

use domain::id::TenantId;
use uuid::Uuid;

/// SQL for the id of the tenant whose number is `n`.
pub(super) const ID: &str = "('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid";

/// The tenant of a number.
pub(super) const fn tenant(number: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(0x7000_8000_0000_0000_0000 | number))
}

/// SQL that inserts tenants 0 to `count`, all in their first month of a version of `Enterprise`.
pub(super) fn insert(count: u64, plan_version: u32) -> String {
    format!(
        "INSERT INTO tenants (id, name, subdomain, status, created_at, updated_at)
         SELECT {ID}, 'Bench', 'bench-' || n, 'Active', now(), now()
         FROM generate_series(0, {count} - 1) AS n;
         INSERT INTO subscriptions (tenant_id, id, plan, plan_version, cycle, currency, status, started_at,
             anchor, period_start, period_end)
         SELECT {ID}, {ID}, 'Enterprise', {plan_version}, 'Monthly', 'USD', 'Active', now(), now(), now(),
             now() + interval '1 month'
         FROM generate_series(0, {count} - 1) AS n;"
    )
}
