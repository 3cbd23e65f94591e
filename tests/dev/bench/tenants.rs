//! Many tenants with a quota each, as rows.

use anyhow::Result;
use domain::id::TenantId;
use harness::TestDatabase;
use uuid::Uuid;

/// The tenant of a number.
pub(super) const fn tenant(number: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(0x7000_8000_0000_0000_0000 | number))
}

/// Inserts tenants 0 to `count`, all in their first month of `Enterprise`.
pub(super) async fn insert(database: &TestDatabase, count: u128) -> Result<()> {
    let id = "('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid";
    let statements = format!(
        "INSERT INTO tenants (id, name, subdomain, status, created_at, updated_at)
         SELECT {id}, 'Bench', 'bench-' || n, 'Active', now(), now()
         FROM generate_series(0, {count} - 1) AS n;
         INSERT INTO subscriptions (tenant_id, id, plan, plan_version, cycle, currency, status, started_at,
             period_start, period_end)
         SELECT {id}, {id}, 'Enterprise', 1, 'Monthly', 'USD', 'Active', now(), now(),
             now() + interval '1 month'
         FROM generate_series(0, {count} - 1) AS n;"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut database.connect().await).await?;
    Ok(())
}
