//! Tenants with a limit each, as rows.

use anyhow::Result;
use credentials::SymmetricKey;
use credentials::api_key::{ApiKey, Pepper};
use harness::TestDatabase;

use crate::bench::edge;

/// Calls a minute of the tenants of one run.
pub(super) const LIMITS: [u32; 10] = [10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000];

/// A tenant and what it asks with.
pub(super) struct Tenant {
    pub(super) limit: u32,
    pub(super) request: String,
}

/// Inserts the plans whose versions the tenants are on.
pub(super) async fn insert_plans(database: &TestDatabase) -> Result<()> {
    let rows: Vec<_> = LIMITS
        .iter()
        .zip(1_000..)
        .map(|(limit, version)| format!("('Enterprise', {version}, {limit}, 0, now())"))
        .collect();
    let sql = format!(
        "INSERT INTO plan_versions (plan, version, api_calls_per_minute, trial_days, created_at)
         VALUES {}",
        rows.join(", ")
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut database.connect().await).await?;
    Ok(())
}

/// Inserts the tenants of run `number`: one for each limit.
pub(super) async fn insert(
    servers: &harness::Servers,
    database: &TestDatabase,
    number: usize,
) -> Result<Vec<Tenant>> {
    let pepper = Pepper::new(SymmetricKey::new(edge::pepper(servers)?));
    let mut connection = database.connect().await;
    let mut tenants = Vec::new();
    for (place, limit) in LIMITS.into_iter().enumerate() {
        let key = ApiKey::generate(rand::random());
        let hash: String =
            key.hash(&pepper).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let id = format!("00000000-0000-7000-8000-{:012}", number * LIMITS.len() + place + 1);
        let (name, version, last_four) =
            (format!("t{number}-{place}"), 1_000 + place, key.last_four());
        let rows = format!(
            "INSERT INTO tenants (id, name, subdomain, status, created_at, updated_at)
             VALUES ('{id}', 'Bench', '{name}', 'Active', now(), now());
             INSERT INTO subscriptions (tenant_id, id, plan, plan_version, cycle, currency, status,
                 started_at, anchor, period_start, period_end)
             VALUES ('{id}', '{id}', 'Enterprise', {version}, 'Monthly', 'USD', 'Active', now(), now(),
                 now(), now() + interval '1 month');
             INSERT INTO users (id, email, name, created_at)
             VALUES ('{id}', 'owner@{name}.example', 'Bench', now());
             INSERT INTO memberships (tenant_id, id, user_id, email, name, role, status, created_at)
             VALUES ('{id}', '{id}', '{id}', 'owner@{name}.example', 'Bench', 'Owner', 'Active', now());
             INSERT INTO api_keys (tenant_id, id, name, hash, last_four, scopes, created_by, created_at)
             VALUES ('{id}', '{id}', 'Bench', '\\x{hash}', '{last_four}', '{{usage.read}}', '{id}', now());"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(&mut connection).await?;
        let request = format!(
            "GET /bench HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
            key.expose()
        );
        tenants.push(Tenant { limit, request });
    }
    Ok(tenants)
}
