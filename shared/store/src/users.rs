//! `users`: people, platform-wide. An address is unique among verified users only, so that nobody can
//! pre-empt another's account by signing up with their address.

use domain::email::EmailAddress;
use domain::id::{MembershipId, TenantId, UserId};
use domain::name::PersonName;
use domain::secret::Secret;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::tenant_tx::{ControlTx, Tx};

/// A person.
#[derive(Debug, Clone)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// Their address.
    pub email: String,
    /// What they call themselves.
    pub name: String,
    /// argon2id in PHC form, once set.
    pub password_hash: Option<Secret<String>>,
    /// Since when the address is known to be theirs.
    pub email_verified_at: Option<Timestamp>,
    /// Generation of their verification links.
    pub email_generation: u32,
    /// Generation of their password links.
    pub password_generation: u32,
}

/// A tenant that a person belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserTenant {
    /// The tenant.
    pub id: TenantId,
    /// The membership.
    pub membership_id: MembershipId,
    /// The tenant's name.
    pub name: String,
    /// Where it is reached.
    pub subdomain: String,
    /// The person's role.
    pub role: String,
}

/// Inserts a person whose address nobody has verified yet.
///
/// # Errors
/// When the database is gone.
pub async fn insert(
    tx: &mut impl Tx,
    id: UserId,
    email: &EmailAddress,
    name: &PersonName,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO users (id, email, name, created_at) VALUES ($1, $2, $3, $4)",
        id as _,
        email.as_str(),
        name.as_str(),
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The person with this id.
///
/// # Errors
/// `NotFound` when there is none.
pub async fn get(tx: &mut impl Tx, id: UserId) -> Result<User, Error> {
    let row = sqlx::query!(
        "SELECT id, email, name, password_hash, email_verified_at, email_generation, password_generation
        FROM users
        WHERE id = $1",
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(User {
        id: row.id,
        email: row.email,
        name: row.name,
        password_hash: row.password_hash.map(Secret::new),
        email_verified_at: row.email_verified_at.map(|at| at.to_jiff()),
        email_generation: row.email_generation.unsigned_abs(),
        password_generation: row.password_generation.unsigned_abs(),
    })
}

/// The person who has verified `email`, if anyone has.
///
/// # Errors
/// When the database is gone.
pub async fn find_verified(tx: &mut impl Tx, email: &EmailAddress) -> Result<Option<User>, Error> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM users WHERE email = $1 AND email_verified_at IS NOT NULL",
        email.as_str()
    )
    .fetch_optional(tx.connection())
    .await?;
    match id {
        Some(id) => get(tx, id).await.map(Some),
        None => Ok(None),
    }
}

/// Verifies the address and sets the password; every older link ends.
///
/// # Errors
/// `NotFound` when the link of `generation` was used meanwhile; `Conflict(UsersVerifiedEmailUnique)` when
/// another user has verified the address.
pub async fn verify(
    tx: &mut impl Tx,
    id: UserId,
    generation: u32,
    password_hash: &Secret<String>,
    now: Timestamp,
) -> Result<(), Error> {
    let changed = sqlx::query!(
        "UPDATE users
        SET email_verified_at = $2, password_hash = $3, email_generation = email_generation + 1
        WHERE id = $1 AND email_generation = $4 AND email_verified_at IS NULL",
        id as _,
        now.to_sqlx() as _,
        password_hash.expose(),
        i32::try_from(generation).unwrap_or(i32::MAX)
    )
    .execute(tx.connection())
    .await?;
    if changed.rows_affected() == 1 { Ok(()) } else { Err(Error::NotFound) }
}

/// Sets the password of a verified user by a link of `generation` that is still in time; it and every older
/// one end.
///
/// # Errors
/// `NotFound` when the link was used meanwhile or its time is over.
pub async fn set_password(
    tx: &mut impl Tx,
    id: UserId,
    generation: u32,
    now: Timestamp,
    password_hash: &Secret<String>,
) -> Result<(), Error> {
    let changed = sqlx::query!(
        "UPDATE users
        SET password_hash = $2, password_generation = password_generation + 1
        WHERE id = $1 AND email_verified_at IS NOT NULL AND password_generation = $3
            AND password_link_until > $4",
        id as _,
        password_hash.expose(),
        i32::try_from(generation).unwrap_or(i32::MAX),
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    if changed.rows_affected() == 1 { Ok(()) } else { Err(Error::NotFound) }
}

/// Lets the person's password link work until `until`.
///
/// # Errors
/// When the database is gone.
pub async fn open_password_link(
    tx: &mut impl Tx,
    id: UserId,
    until: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE users SET password_link_until = $2 WHERE id = $1",
        id as _,
        until.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The active tenants in which the person is an active member, by name.
///
/// # Errors
/// When the database is gone.
pub async fn tenants(tx: &mut ControlTx, id: UserId) -> Result<Vec<UserTenant>, Error> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!", membership_id AS "membership_id!", name AS "name!",
            subdomain AS "subdomain!", role AS "role!"
        FROM tenants_of_user($1)"#,
        id.as_uuid()
    )
    .fetch_all(tx.connection())
    .await?;
    let tenants = rows.into_iter().map(|row| UserTenant {
        id: TenantId::from_uuid(row.tenant_id),
        membership_id: MembershipId::from_uuid(row.membership_id),
        name: row.name,
        subdomain: row.subdomain,
        role: row.role,
    });
    Ok(tenants.collect())
}
