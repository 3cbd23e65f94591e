//! A database of 100,000 tenants, each with an owner and ten API keys.

use anyhow::Result;
use credentials::api_key::{ApiKey, Pepper};
use harness::TestDatabase;
use sqlx::PgConnection;

use crate::bench::tenants;

pub(super) const TENANTS: u64 = 100_000;
pub(super) const KEYS: u64 = 1_000_000;
/// Rows sent at a time.
const PART: u64 = 20_000;

/// The key of a number. Made from it, so that a million need not be kept.
pub(super) fn key(number: u64) -> ApiKey {
    ApiKey::generate(spread(number))
}

/// Bytes that differ throughout, as random ones do (SplitMix64, Steele et al. 2014).
fn spread(number: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut state = number.wrapping_mul(0xd134_2543_de82_ef95);
    for chunk in bytes.chunks_exact_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    bytes
}

/// Fills the database. Without its triggers: this is no change but where things begin.
pub(super) async fn insert(database: &TestDatabase, pepper: &Pepper) -> Result<()> {
    let mut admin = database.connect().await;
    let (id, tenants) = (tenants::ID, tenants::insert(TENANTS, 1_000));
    let statements = format!(
        "SET session_replication_role = replica;
         INSERT INTO plan_versions (plan, version, api_calls_per_minute, trial_days, created_at)
         VALUES ('Enterprise', 1000, 2000000000, 0, now());
         {tenants}
         INSERT INTO memberships (tenant_id, id, user_id, email, name, role, status, created_at)
         SELECT {id}, {id}, {id}, 'bench-' || n || '@bench.example', 'Bench', 'Owner', 'Active', now()
         FROM generate_series(0, {TENANTS} - 1) AS n;
         -- One tenant in ten has an allowlist.
         INSERT INTO ip_allowlists (tenant_id, networks, updated_at)
         SELECT {id}, '{{10.0.0.0/8,127.0.0.0/8,192.168.0.0/16}}', now()
         FROM generate_series(0, {TENANTS} - 1, 10) AS n;"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut admin).await?;
    for first in (0..KEYS).step_by(usize::try_from(PART)?) {
        copy_keys(&mut admin, pepper, first..first + PART).await?;
    }
    sqlx::raw_sql("ANALYZE").execute(&mut admin).await?;
    Ok(())
}

async fn copy_keys(
    admin: &mut PgConnection,
    pepper: &Pepper,
    numbers: std::ops::Range<u64>,
) -> Result<()> {
    use std::fmt::Write as _;

    let mut rows = String::new();
    for number in numbers {
        let tenant = number % TENANTS;
        let hash = key(number).hash(pepper);
        let hash: String = hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(
            rows,
            "00000000-0000-7000-8000-{tenant:012x}\t00000000-0000-7000-8000-{number:012x}\tK\t\\\\x{hash}\tabcd\t{{usage.read}}\t00000000-0000-7000-8000-{tenant:012x}\tnow"
        )?;
    }
    let columns = "COPY api_keys (tenant_id, id, name, hash, last_four, scopes, created_by, created_at) FROM STDIN";
    let mut copy = admin.copy_in_raw(columns).await?;
    copy.send(rows.into_bytes()).await?;
    copy.finish().await?;
    Ok(())
}

/// Revokes the key of a number.
pub(super) async fn revoke(admin: &mut PgConnection, number: u64) -> Result<()> {
    sqlx::query(
        "UPDATE api_keys SET revoked_at = now() WHERE tenant_id = $1::uuid AND id = $2::uuid",
    )
    .bind(format!("00000000-0000-7000-8000-{:012x}", number % TENANTS))
    .bind(format!("00000000-0000-7000-8000-{number:012x}"))
    .execute(admin)
    .await?;
    Ok(())
}
