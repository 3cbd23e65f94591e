//! `invitations`: offers of membership. Single use, seven days, ended by a resend, a revocation or acceptance.

use domain::id::{InvitationId, MembershipId, TenantId};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::page::{Page, Rows};
use crate::tenant_tx::{ControlTx, TenantTx, Tx};

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// The membership that it offers.
    pub membership_id: MembershipId,
    /// Who offered it, where that was a member.
    pub invited_by: Option<MembershipId>,
    /// Generation of its link.
    pub generation: u32,
    /// Hash of the mailed token.
    pub token_hash: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was accepted.
    pub accepted_at: Option<Timestamp>,
    /// When it was withdrawn.
    pub revoked_at: Option<Timestamp>,
}

/// Where an invitation is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvitationStatus {
    /// Waiting.
    Pending,
    /// Accepted.
    Accepted,
    /// Withdrawn.
    Revoked,
    /// Its time is over.
    Expired,
}

impl Invitation {
    /// Where it is in its life at `now`.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> InvitationStatus {
        match (self.accepted_at, self.revoked_at) {
            (Some(_), _) => InvitationStatus::Accepted,
            (None, Some(_)) => InvitationStatus::Revoked,
            (None, None) if self.expires_at <= now => InvitationStatus::Expired,
            (None, None) => InvitationStatus::Pending,
        }
    }
}

/// Inserts an invitation.
///
/// # Errors
/// When the database is gone.
pub async fn insert(tx: &mut TenantTx, invitation: &Invitation) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO invitations
            (tenant_id, id, membership_id, invited_by, generation, token_hash, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        tx.tenant_id() as _,
        invitation.id as _,
        invitation.membership_id as _,
        invitation.invited_by as _,
        generation(invitation.generation),
        invitation.token_hash,
        invitation.created_at.to_sqlx() as _,
        invitation.expires_at.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

struct Row {
    id: InvitationId,
    membership_id: MembershipId,
    invited_by: Option<MembershipId>,
    generation: i32,
    token_hash: Vec<u8>,
    created_at: jiff_sqlx::Timestamp,
    expires_at: jiff_sqlx::Timestamp,
    accepted_at: Option<jiff_sqlx::Timestamp>,
    revoked_at: Option<jiff_sqlx::Timestamp>,
}

impl From<Row> for Invitation {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            membership_id: row.membership_id,
            invited_by: row.invited_by,
            generation: row.generation.unsigned_abs(),
            token_hash: row.token_hash,
            created_at: row.created_at.to_jiff(),
            expires_at: row.expires_at.to_jiff(),
            accepted_at: row.accepted_at.map(|at| at.to_jiff()),
            revoked_at: row.revoked_at.map(|at| at.to_jiff()),
        }
    }
}

/// The invitation with this id.
///
/// # Errors
/// `NotFound` when there is none in this tenant.
pub async fn get(tx: &mut TenantTx, id: InvitationId) -> Result<Invitation, Error> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, membership_id, invited_by, generation, token_hash, created_at, expires_at, accepted_at,
            revoked_at
        FROM invitations
        WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(row.into())
}

/// As [`get`], and nobody else changes it until the transaction ends.
///
/// # Errors
/// `NotFound` when there is none in this tenant.
pub async fn get_for_update(tx: &mut TenantTx, id: InvitationId) -> Result<Invitation, Error> {
    sqlx::query!(
        "SELECT id FROM invitations WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
        tx.tenant_id() as _,
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    get(tx, id).await
}

/// A page of the tenant's invitations, newest first.
///
/// # Errors
/// When the database is gone.
pub async fn list(tx: &mut TenantTx, page: Page) -> Result<Rows<Invitation>, Error> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, membership_id, invited_by, generation, token_hash, created_at, expires_at, accepted_at,
            revoked_at
        FROM invitations
        WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2)
        ORDER BY id DESC
        LIMIT $3",
        tx.tenant_id() as _,
        page.after,
        page.limit.probe()
    )
    .fetch_all(tx.connection())
    .await?;
    let invitations = rows.into_iter().map(Invitation::from).collect();
    Ok(Rows::cut(invitations, page.limit, |invitation: &Invitation| invitation.id.as_uuid()))
}

/// How many invitations the tenant ever made: unverified owners may make a few only.
///
/// # Errors
/// When the database is gone.
pub async fn count(tx: &mut TenantTx) -> Result<u64, Error> {
    let count = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(generation), 0) AS "count!" FROM invitations WHERE tenant_id = $1"#,
        tx.tenant_id() as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(count.unsigned_abs())
}

/// Stores a new link for a waiting or expired invitation; the older link ends.
///
/// # Errors
/// `Stale` when it was resent, accepted or withdrawn meanwhile.
pub async fn renew(
    tx: &mut TenantTx,
    id: InvitationId,
    to_generation: u32,
    token_hash: &[u8; 32],
    expires_at: Timestamp,
) -> Result<(), Error> {
    let changed = sqlx::query!(
        "UPDATE invitations
        SET generation = $3, token_hash = $4, expires_at = $5
        WHERE tenant_id = $1 AND id = $2 AND generation = $3 - 1 AND accepted_at IS NULL
            AND revoked_at IS NULL",
        tx.tenant_id() as _,
        id as _,
        generation(to_generation),
        token_hash.as_slice(),
        expires_at.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    if changed.rows_affected() == 1 { Ok(()) } else { Err(Error::Stale) }
}

/// Notes that the invitation was accepted.
///
/// # Errors
/// `Stale` when it was accepted or withdrawn meanwhile.
pub async fn accept(tx: &mut TenantTx, id: InvitationId, now: Timestamp) -> Result<(), Error> {
    let changed = sqlx::query!(
        "UPDATE invitations
        SET accepted_at = $3
        WHERE tenant_id = $1 AND id = $2 AND accepted_at IS NULL AND revoked_at IS NULL",
        tx.tenant_id() as _,
        id as _,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    if changed.rows_affected() == 1 { Ok(()) } else { Err(Error::Stale) }
}

/// Withdraws the waiting invitations of a membership; how many there were.
///
/// # Errors
/// When the database is gone.
pub async fn revoke_of(
    tx: &mut TenantTx,
    membership_id: MembershipId,
    now: Timestamp,
) -> Result<u64, Error> {
    let changed = sqlx::query!(
        "UPDATE invitations
        SET revoked_at = $3
        WHERE tenant_id = $1 AND membership_id = $2 AND accepted_at IS NULL AND revoked_at IS NULL",
        tx.tenant_id() as _,
        membership_id as _,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(changed.rows_affected())
}

/// Withdraws every waiting invitation that `inviter` made; how many.
///
/// # Errors
/// When the database is gone.
pub async fn revoke_invited_by(
    tx: &mut TenantTx,
    inviter: MembershipId,
    now: Timestamp,
) -> Result<u64, Error> {
    let changed = sqlx::query!(
        "UPDATE invitations
        SET revoked_at = $3
        WHERE tenant_id = $1 AND invited_by = $2 AND accepted_at IS NULL AND revoked_at IS NULL",
        tx.tenant_id() as _,
        inviter as _,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(changed.rows_affected())
}

/// The tenant in which an invitation lives: the mailed token names only the invitation.
///
/// # Errors
/// `NotFound` when there is no such invitation.
pub async fn tenant_of(tx: &mut ControlTx, id: InvitationId) -> Result<TenantId, Error> {
    sqlx::query_scalar!("SELECT tenant_of_invitation($1)", id.as_uuid())
        .fetch_one(tx.connection())
        .await?
        .map(TenantId::from_uuid)
        .ok_or(Error::NotFound)
}

fn generation(generation: u32) -> i32 {
    i32::try_from(generation).unwrap_or(i32::MAX)
}
