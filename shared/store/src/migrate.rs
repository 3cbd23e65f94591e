//! Brings a database up to date: roles, numbered migrations, the price catalogue. See migrations/README.md.

use domain::secret::Secret;
use jiff::Timestamp;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection, PgConnection};

use crate::catalogue::{self, Catalogue};
use crate::error::Error;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");
const ROLES: &str = include_str!("../../../migrations/roles.sql");

/// The oldest server that has what the schema uses (`security_invoker`, row filters in publications).
const SERVER_VERSION_MIN: i32 = 150_000;

/// A migration did not go through; the database is as before the file that failed.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The server is too old.
    #[error("Postgres 15 or newer is needed, the server is {0}; point the URL at a newer one")]
    ServerTooOld(String),
    /// A file failed.
    #[error("a migration failed: {0}")]
    Failed(#[from] MigrateError),
    /// The database refused.
    #[error(transparent)]
    Database(#[from] Error),
}

impl From<sqlx::Error> for MigrationError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Migrates the database at `url`, which must name a login that may create roles, and loads `catalogue`.
/// May be run twice at the same time; the second waits.
///
/// # Errors
/// When the server is too old, a file fails, or the database is gone.
pub async fn migrate(
    url: &Secret<String>,
    catalogue: &Catalogue,
    now: Timestamp,
) -> Result<(), MigrationError> {
    let mut connection = PgConnection::connect(url.expose()).await?;
    check_version(&mut connection).await?;
    sqlx::raw_sql(ROLES).execute(&mut connection).await?;
    sqlx::raw_sql("SET ROLE pytake_owner; SET row_security = off").execute(&mut connection).await?;
    // sqlx takes an advisory lock of its own around this.
    MIGRATIONS.run(&mut connection).await?;
    catalogue::load(&mut connection, catalogue, now).await?;
    connection.close().await?;
    Ok(())
}

async fn check_version(connection: &mut PgConnection) -> Result<(), MigrationError> {
    let row = sqlx::query!(
        r#"SELECT
            current_setting('server_version_num')::int AS "number!",
            current_setting('server_version') AS "name!""#
    )
    .fetch_one(connection)
    .await?;
    if row.number < SERVER_VERSION_MIN {
        return Err(MigrationError::ServerTooOld(row.name));
    }
    Ok(())
}
