//! Reads the whole policy in one transaction, so that it is what the database held at one moment.

use std::num::NonZeroU32;
use std::sync::Arc;

use credentials::access_token::PublicJwk;
use credentials::api_key::ApiKeyHash;
use domain::id::{ApiKeyId, MembershipId, SessionId, TenantId, UserId};
use domain::permission::{Permission, PermissionSet, Role, Scope};
use domain::plan::PlanName;
use domain::tenant::TenantStatus;
use ipnet::IpNet;
use policy::cidr::AddressList;
use policy::snapshot::{ApiKey, Member, PolicyBuilder, Tenant};
use policy::{Policy, Site};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::visibility::{Snapshot, SnapshotError};

/// The policy could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Postgres is away or refuses.
    #[error("the edge views cannot be read")]
    Database(#[from] sqlx::Error),
    /// Postgres speaks otherwise than expected.
    #[error("the snapshot cannot be understood")]
    Snapshot(#[from] SnapshotError),
}

/// Loads a policy and the snapshot that it was read in.
pub(crate) async fn load(
    connection: &mut PgConnection,
    site: Arc<Site>,
) -> Result<(Policy, Snapshot), LoadError> {
    let mut tx = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let snapshot: Snapshot =
        sqlx::query_scalar!(r#"SELECT pg_current_snapshot()::text AS "snapshot!""#)
            .fetch_one(&mut *tx)
            .await?
            .parse()?;
    let mut builder = Policy::builder(site);
    load_tenants(&mut tx, &mut builder).await?;
    load_memberships(&mut tx, &mut builder).await?;
    load_api_keys(&mut tx, &mut builder).await?;
    load_signing(&mut tx, &mut builder).await?;
    tx.commit().await?;
    Ok((builder.build(), snapshot))
}

async fn load_tenants(tx: &mut PgConnection, builder: &mut PolicyBuilder) -> Result<(), LoadError> {
    let rows = sqlx::query!(
        r#"SELECT
            id AS "id!: TenantId",
            subdomain AS "subdomain!",
            status AS "status!",
            plan AS "plan!",
            api_calls_per_minute AS "calls_per_minute!",
            require_two_factor AS "require_two_factor!",
            networks AS "networks!: Vec<IpNet>"
        FROM edge.tenants"#
    )
    .fetch_all(tx)
    .await?;
    for row in rows {
        let parsed = (
            row.status.parse::<TenantStatus>(),
            row.plan.parse::<PlanName>(),
            positive(i64::from(row.calls_per_minute)),
        );
        let (Ok(status), Ok(plan), Some(calls_per_minute)) = parsed else {
            // Left out, so refused: an edge that is older than the data must not guess.
            tracing::error!(tenant.id = %row.id, "tenant {} cannot be understood and is refused", row.id);
            continue;
        };
        let tenant = Tenant {
            status,
            plan,
            calls_per_minute,
            require_two_factor: row.require_two_factor,
            networks: AddressList::new(row.networks),
        };
        builder.tenant(row.id, &row.subdomain, tenant);
    }
    Ok(())
}

async fn load_memberships(
    tx: &mut PgConnection,
    builder: &mut PolicyBuilder,
) -> Result<(), LoadError> {
    let rows = sqlx::query!(
        r#"SELECT
            tenant_id AS "tenant_id!: TenantId",
            id AS "id!: MembershipId",
            user_id AS "user_id!: UserId",
            role AS "role!",
            permissions AS "permissions!"
        FROM edge.memberships"#
    )
    .fetch_all(tx)
    .await?;
    for row in rows {
        let Ok(role) = row.role.parse::<Role>() else {
            tracing::error!(membership.id = %row.id, "role of {} is unknown; it is refused", row.id);
            continue;
        };
        let permissions = effective(role, &row.permissions);
        builder.member(row.tenant_id, row.user_id, Member { id: row.id, role, permissions });
    }
    Ok(())
}

/// What a member may do. A permission that this release does not know is not granted.
fn effective(role: Role, granted: &[String]) -> PermissionSet {
    let granted = granted.iter().filter_map(|name| name.parse::<Permission>().ok());
    role.permissions().union(granted.collect())
}

async fn load_api_keys(
    tx: &mut PgConnection,
    builder: &mut PolicyBuilder,
) -> Result<(), LoadError> {
    let rows = sqlx::query!(
        r#"SELECT
            tenant_id AS "tenant_id!: TenantId",
            id AS "id!: ApiKeyId",
            hash AS "hash!",
            scopes AS "scopes!",
            rate_limit,
            networks AS "networks!: Vec<IpNet>",
            expires_at AS "expires_at: jiff_sqlx::Timestamp",
            revoked_at IS NOT NULL AS "revoked!",
            creator_role,
            creator_permissions
        FROM edge.api_keys"#
    )
    .fetch_all(tx)
    .await?;
    for row in rows {
        let Some(hash) = ApiKeyHash::from_slice(&row.hash) else { continue };
        let scopes = row.scopes.iter().filter_map(|name| name.parse::<Scope>().ok());
        let scopes: PermissionSet = scopes.map(Scope::permission).collect();
        let creator_role = row.creator_role.and_then(|role| role.parse::<Role>().ok());
        let creators = creator_role.map_or(PermissionSet::EMPTY, |role| {
            effective(role, &row.creator_permissions.unwrap_or_default())
        });
        let api_key = ApiKey {
            id: row.id,
            tenant_id: row.tenant_id,
            permissions: scopes.intersection(creators),
            calls_per_minute: row.rate_limit.and_then(|limit| positive(i64::from(limit))),
            networks: AddressList::new(row.networks),
            expires_at: row.expires_at.map(jiff_sqlx::Timestamp::to_jiff),
            revoked: row.revoked,
        };
        builder.api_key(hash, api_key);
    }
    Ok(())
}

async fn load_signing(tx: &mut PgConnection, builder: &mut PolicyBuilder) -> Result<(), LoadError> {
    let keys = sqlx::query!(
        r#"SELECT id AS "id!: Uuid", public_jwk AS "public_jwk!: serde_json::Value"
        FROM edge.signing_keys"#
    )
    .fetch_all(&mut *tx)
    .await?;
    for row in keys {
        match serde_json::from_value::<PublicJwk>(row.public_jwk) {
            Ok(jwk) => builder.signing_key(jwk),
            Err(error) => {
                tracing::error!(%error, "signing key {} is malformed; its tokens are refused", row.id);
            }
        }
    }
    let sessions =
        sqlx::query_scalar!(r#"SELECT id AS "id!: SessionId" FROM edge.revoked_sessions"#)
            .fetch_all(tx)
            .await?;
    for session in sessions {
        builder.revoked_session(session);
    }
    Ok(())
}

fn positive(count: i64) -> Option<NonZeroU32> {
    // More than can be counted is as good as the most that can.
    let count = u32::try_from(count.min(i64::from(u32::MAX))).ok()?;
    NonZeroU32::new(count)
}
