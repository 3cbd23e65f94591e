//! Why the database did not do as asked, in the five ways that a caller would branch on.

/// Names of the constraints whose violation a caller can explain to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constraint {
    /// The subdomain is taken.
    TenantsSubdomainUnique,
    /// The address is a member already, or invited.
    MembershipsEmailUnique,
    /// The person is a member already.
    MembershipsUserUnique,
    /// Another user has verified the address.
    UsersVerifiedEmailUnique,
    /// A payment of that reference was recorded meanwhile, for another invoice.
    PaymentsOnce,
}

impl Constraint {
    const ALL: [(Self, &'static str); 5] = [
        (Self::TenantsSubdomainUnique, "tenants_subdomain_unique"),
        (Self::MembershipsEmailUnique, "memberships_email_unique"),
        (Self::MembershipsUserUnique, "memberships_user_unique"),
        (Self::UsersVerifiedEmailUnique, "users_verified_email_unique"),
        (Self::PaymentsOnce, "payments_once"),
    ];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(constraint, _)| constraint)
    }
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such row, or none that this tenant may see.
    #[error("not found")]
    NotFound,
    /// The row would contradict another.
    #[error("conflict with {0:?}")]
    Conflict(Constraint),
    /// The row was changed since it was read.
    #[error("changed since it was read")]
    Stale,
    /// The database cannot be reached, or is too busy.
    #[error("the database is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// A column holds what this release does not know: a newer one wrote it.
    #[error("{0} holds a value that this release does not know")]
    Foreign(&'static str),
    /// A value that the database cannot hold (SQLSTATE class 22); parsing should have refused it.
    #[error("a value cannot be stored")]
    Unstorable(#[source] sqlx::Error),
    /// A sealed value does not open, or nothing can be sealed.
    #[error("the vault refused")]
    Vault(#[from] vault::VaultError),
    /// Anything else: a fault of ours.
    #[error("the database refused")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::RowNotFound => Self::NotFound,
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => {
                Self::Unavailable(error)
            }
            sqlx::Error::Database(refusal) => {
                if let Some(constraint) = refusal.constraint().and_then(Constraint::named) {
                    return Self::Conflict(constraint);
                }
                // Class 57: operator intervention (shutdown, crash, statement timeout); 53: no resources;
                // 08: connection; 55P03: lock timeout; 40: serialization failure or deadlock.
                let unavailable = refusal.code().is_some_and(|code| {
                    ["57", "53", "08", "40"].iter().any(|class| code.starts_with(class))
                        || code == "55P03"
                });
                if refusal.code().is_some_and(|code| code.starts_with("22")) {
                    return Self::Unstorable(error);
                }
                if unavailable { Self::Unavailable(error) } else { Self::Database(error) }
            }
            _ => Self::Database(error),
        }
    }
}
