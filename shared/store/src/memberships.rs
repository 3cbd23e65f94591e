//! `memberships`: a person's place in a tenant. Invited ones take a seat before there is a user.

use domain::id::{MembershipId, UserId};
use domain::name::PersonName;
use domain::permission::{Permission, PermissionSet, Role};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::page::{Page, Rows};
use crate::tenant_tx::{TenantTx, Tx};

/// Where a membership is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembershipStatus {
    /// Offered, not yet accepted.
    Invited,
    /// In force.
    Active,
    /// Ended.
    Removed,
}

impl MembershipStatus {
    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "Invited",
            Self::Active => "Active",
            Self::Removed => "Removed",
        }
    }

    fn parse(text: &str) -> Result<Self, Error> {
        [Self::Invited, Self::Active, Self::Removed]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(Error::Foreign("memberships.status"))
    }
}

/// A membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Its id.
    pub id: MembershipId,
    /// The person, once the invitation was accepted.
    pub user_id: Option<UserId>,
    /// The address that it was offered to.
    pub email: String,
    /// The person's name in this tenant.
    pub name: String,
    /// The role.
    pub role: Role,
    /// Permissions granted beside the role; a new role starts without.
    pub permissions: PermissionSet,
    /// Where it is in its life.
    pub status: MembershipStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// Raised by each change; the `ETag`.
    pub version: i64,
}

/// Inserts a membership.
///
/// # Errors
/// `Conflict(MembershipsEmailUnique)` when the address has one in this tenant.
pub async fn insert(tx: &mut TenantTx, membership: &Membership) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO memberships
            (tenant_id, id, user_id, email, name, role, permissions, status, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        tx.tenant_id() as _,
        membership.id as _,
        membership.user_id as _,
        membership.email,
        membership.name,
        membership.role.as_str(),
        &names(membership.permissions),
        membership.status.as_str(),
        membership.created_at.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

struct Row {
    id: MembershipId,
    user_id: Option<UserId>,
    email: String,
    name: String,
    role: String,
    permissions: Vec<String>,
    status: String,
    created_at: jiff_sqlx::Timestamp,
    version: i64,
}

impl TryFrom<Row> for Membership {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        // A permission that this release does not know is not held.
        let permissions = row.permissions.iter().filter_map(|name| name.parse::<Permission>().ok());
        Ok(Self {
            id: row.id,
            user_id: row.user_id,
            email: row.email,
            name: row.name,
            role: row.role.parse().map_err(|_| Error::Foreign("memberships.role"))?,
            permissions: permissions.collect(),
            status: MembershipStatus::parse(&row.status)?,
            created_at: row.created_at.to_jiff(),
            version: row.version,
        })
    }
}

/// The membership with this id; removed ones are not found.
///
/// # Errors
/// `NotFound` when there is none in this tenant.
pub async fn get(tx: &mut TenantTx, id: MembershipId) -> Result<Membership, Error> {
    sqlx::query_as!(
        Row,
        "SELECT id, user_id, email, name, role, permissions, status, created_at, version
        FROM memberships
        WHERE tenant_id = $1 AND id = $2 AND status <> 'Removed'",
        tx.tenant_id() as _,
        id as _
    )
    .fetch_one(tx.connection())
    .await?
    .try_into()
}

/// A page of the tenant's members, invited ones included, newest first.
///
/// # Errors
/// When the database is gone.
pub async fn list(tx: &mut TenantTx, page: Page) -> Result<Rows<Membership>, Error> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, user_id, email, name, role, permissions, status, created_at, version
        FROM memberships
        WHERE tenant_id = $1 AND status <> 'Removed' AND ($2::uuid IS NULL OR id < $2)
        ORDER BY id DESC
        LIMIT $3",
        tx.tenant_id() as _,
        page.after,
        page.limit.probe()
    )
    .fetch_all(tx.connection())
    .await?;
    let members = rows.into_iter().map(Membership::try_from).collect::<Result<Vec<_>, _>>()?;
    Ok(Rows::cut(members, page.limit, |member| member.id.as_uuid()))
}

/// Takes the tenant's lock on seats and owners, before any other row of theirs, so that two changes at once cannot both take the last seat
/// or both remove one of the last two owners.
///
/// # Errors
/// When the database is gone.
pub async fn lock(tx: &mut TenantTx) -> Result<(), Error> {
    sqlx::query!("SELECT id FROM tenants WHERE id = $1 FOR NO KEY UPDATE", tx.tenant_id() as _)
        .fetch_optional(tx.connection())
        .await?;
    Ok(())
}

/// Seats taken: active members and invited ones.
///
/// # Errors
/// When the database is gone.
pub async fn count_seats(tx: &mut TenantTx) -> Result<u64, Error> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM memberships WHERE tenant_id = $1 AND status <> 'Removed'"#,
        tx.tenant_id() as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(count.unsigned_abs())
}

/// Active owners.
///
/// # Errors
/// When the database is gone.
pub async fn count_owners(tx: &mut TenantTx) -> Result<u64, Error> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM memberships
        WHERE tenant_id = $1 AND status = 'Active' AND role = 'Owner'"#,
        tx.tenant_id() as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(count.unsigned_abs())
}

/// The active owners, to whom messages about the tenant go.
///
/// # Errors
/// When the database is gone.
pub async fn owners(tx: &mut TenantTx) -> Result<Vec<MembershipId>, Error> {
    let owners = sqlx::query_scalar!(
        "SELECT id FROM memberships
        WHERE tenant_id = $1 AND status = 'Active' AND role = 'Owner'
        ORDER BY id",
        tx.tenant_id() as _
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(owners)
}

/// Replaces name, role and granted permissions of a membership that is still at `version`.
///
/// # Errors
/// `Stale` when it was changed meanwhile.
pub async fn update(
    tx: &mut TenantTx,
    id: MembershipId,
    version: i64,
    name: &PersonName,
    role: Role,
    permissions: PermissionSet,
) -> Result<(), Error> {
    let changed = sqlx::query!(
        "UPDATE memberships
        SET name = $4, role = $5, permissions = $6, version = version + 1
        WHERE tenant_id = $1 AND id = $2 AND version = $3 AND status <> 'Removed'",
        tx.tenant_id() as _,
        id as _,
        version,
        name.as_str(),
        role.as_str(),
        &names(permissions)
    )
    .execute(tx.connection())
    .await?;
    if changed.rows_affected() == 1 { Ok(()) } else { Err(Error::Stale) }
}

/// Makes an invited membership the person's.
///
/// # Errors
/// `NotFound` when it is not waiting; `Conflict(MembershipsUserUnique)` when the person is a member already.
pub async fn activate(tx: &mut TenantTx, id: MembershipId, user_id: UserId) -> Result<(), Error> {
    let changed = sqlx::query!(
        "UPDATE memberships
        SET user_id = $3, status = 'Active', version = version + 1
        WHERE tenant_id = $1 AND id = $2 AND status = 'Invited'",
        tx.tenant_id() as _,
        id as _,
        user_id as _
    )
    .execute(tx.connection())
    .await?;
    if changed.rows_affected() == 1 { Ok(()) } else { Err(Error::NotFound) }
}

/// Hands a membership from one user to another: an unverified sign-up joins its verified user.
///
/// # Errors
/// `Conflict(MembershipsUserUnique)` when the other is a member already.
pub async fn hand_over(
    tx: &mut TenantTx,
    id: MembershipId,
    from: UserId,
    to: UserId,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE memberships
        SET user_id = $4, version = version + 1
        WHERE tenant_id = $1 AND id = $2 AND user_id = $3",
        tx.tenant_id() as _,
        id as _,
        from as _,
        to as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Ends a membership.
///
/// # Errors
/// `NotFound` when there is none in this tenant.
pub async fn remove(tx: &mut TenantTx, id: MembershipId) -> Result<(), Error> {
    let changed = sqlx::query!(
        "UPDATE memberships
        SET status = 'Removed', version = version + 1
        WHERE tenant_id = $1 AND id = $2 AND status <> 'Removed'",
        tx.tenant_id() as _,
        id as _
    )
    .execute(tx.connection())
    .await?;
    if changed.rows_affected() == 1 { Ok(()) } else { Err(Error::NotFound) }
}

fn names(permissions: PermissionSet) -> Vec<String> {
    permissions.iter().map(|permission| permission.to_string()).collect()
}

/// Ends every membership that `inviter` offered, accepted ones included; how many.
///
/// # Errors
/// When the database is gone.
pub async fn remove_invited_by(tx: &mut TenantTx, inviter: MembershipId) -> Result<u64, Error> {
    let changed = sqlx::query!(
        "UPDATE memberships
        SET status = 'Removed', version = version + 1
        WHERE tenant_id = $1 AND status <> 'Removed' AND id IN (
            SELECT membership_id FROM invitations WHERE tenant_id = $1 AND invited_by = $2
        )",
        tx.tenant_id() as _,
        inviter as _
    )
    .execute(tx.connection())
    .await?;
    Ok(changed.rows_affected())
}
