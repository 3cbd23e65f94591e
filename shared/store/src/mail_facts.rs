//! What a message says about people and tenants, read when it is sent: jobs carry ids only.

use domain::id::{InvitationId, UserId};

use crate::error::Error;
use crate::tenant_tx::{TenantTx, Tx};

/// What an invitation's message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationFacts {
    /// The tenant's name.
    pub tenant: String,
    /// Who invites, where that was a member.
    pub inviter: Option<String>,
    /// The address that is invited.
    pub email: String,
    /// The name of who is invited.
    pub name: String,
}

/// What a message to a person says, and whether its link is still the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonFacts {
    /// Their address.
    pub email: String,
    /// What they call themselves.
    pub name: String,
    /// Whether the address is known to be theirs.
    pub verified: bool,
    /// Generation of their verification links.
    pub email_generation: u32,
    /// Generation of their password links.
    pub password_generation: u32,
}

/// What the invitation's message says.
///
/// # Errors
/// `NotFound` when there is no such invitation in this tenant, its membership is not waiting for it, or the
/// tenant is not in force.
pub async fn invitation(tx: &mut TenantTx, id: InvitationId) -> Result<InvitationFacts, Error> {
    let facts = sqlx::query_as!(
        InvitationFacts,
        r#"SELECT tenants.name AS tenant, inviters.name AS "inviter?", memberships.email, memberships.name
        FROM invitations
        JOIN tenants ON tenants.id = invitations.tenant_id AND tenants.status = 'Active'
        JOIN memberships ON memberships.tenant_id = invitations.tenant_id
            AND memberships.id = invitations.membership_id
            AND memberships.status = 'Invited'
        LEFT JOIN memberships AS inviters ON inviters.tenant_id = invitations.tenant_id
            AND inviters.id = invitations.invited_by
        WHERE invitations.tenant_id = $1 AND invitations.id = $2"#,
        tx.tenant_id() as _,
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(facts)
}

/// What a message to the person says.
///
/// # Errors
/// `NotFound` when there is no such person.
pub async fn person(tx: &mut impl Tx, id: UserId) -> Result<PersonFacts, Error> {
    let row = sqlx::query!(
        r#"SELECT email, name, email_verified_at IS NOT NULL AS "verified!", email_generation,
            password_generation
        FROM users
        WHERE id = $1"#,
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(PersonFacts {
        email: row.email,
        name: row.name,
        verified: row.verified,
        email_generation: row.email_generation.unsigned_abs(),
        password_generation: row.password_generation.unsigned_abs(),
    })
}
