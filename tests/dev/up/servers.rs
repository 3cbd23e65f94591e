//! Postgres and Redis for `up`: our own under `.dev/`, or those that DATABASE_URL and REDIS_URL name.

use anyhow::{Context as _, Result, bail};
use harness::{Access, Durability, Postgres, RedisServer, random_hex, variable};
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::place::Place;
use crate::say;

/// Our own database's name.
const DATABASE: &str = "pytake";
/// Application roles, in the order of [`RoleUrls`].
const ROLES: [&str; 4] = ["pytake_api", "pytake_worker", "pytake_edge", "pytake_operator"];

/// Running or given servers.
pub(crate) struct Servers {
    access: Access,
    database: String,
    pub(crate) redis_url: String,
    pub(crate) postgres: Option<Postgres>,
    pub(crate) redis: Option<RedisServer>,
}

/// What each program connects with.
pub(crate) struct RoleUrls {
    pub(crate) api: String,
    pub(crate) worker: String,
    pub(crate) edge: String,
    pub(crate) operator: String,
}

pub(crate) async fn start(place: &Place) -> Result<Servers> {
    let given = variable("DATABASE_URL");
    let folder = place.servers()?;
    let (redis, redis_url) = match variable("REDIS_URL") {
        Some(url) => {
            say::step("using the Redis of REDIS_URL");
            (None, url)
        }
        None => {
            say::step("starting a private Redis");
            let server = RedisServer::start(&folder, &place.log("redis"))?;
            let url = server.url();
            (Some(server), url)
        }
    };
    let (postgres, access) = match given {
        Some(url) => {
            say::step("using the Postgres of DATABASE_URL");
            (None, Access::Given(url))
        }
        None => {
            say::step("starting a private Postgres");
            let server = Postgres::start(&folder, &place.log("postgres"), Durability::Kept).await?;
            let access = server.access();
            (Some(server), access)
        }
    };
    let database = access.given_database().unwrap_or_else(|| DATABASE.to_owned());
    let servers = Servers { access, database, redis_url, postgres, redis };
    servers.ensure_database().await?;
    Ok(servers)
}

impl Servers {
    /// The database's URL as its owner.
    pub(crate) fn database_url(&self) -> String {
        self.access.url(&self.database)
    }

    async fn ensure_database(&self) -> Result<()> {
        let mut connection = match PgConnection::connect(&self.database_url()).await {
            Ok(connection) => connection,
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("3D000") => {
                let mut connection = self.access.administrate().await?;
                let name = self.database.replace('"', "\"\"");
                connection
                    .execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE \"{name}\"")))
                    .await
                    .context("cannot create the database")?;
                connection
            }
            Err(error) => {
                return Err(error).context("cannot connect to the database of DATABASE_URL");
            }
        };
        let number: String =
            sqlx::query_scalar("SHOW server_version_num").fetch_one(&mut connection).await?;
        let major = number.parse::<u32>().unwrap_or_default() / 10_000;
        if major < harness::POSTGRES_MAJOR_MIN {
            bail!(
                "the server of DATABASE_URL is Postgres {major}; version {} or later is needed",
                harness::POSTGRES_MAJOR_MIN
            );
        }
        Ok(())
    }

    /// What each program connects with. A server that asks for passwords is given one for our roles.
    pub(crate) async fn role_urls(&self, place: &Place) -> Result<RoleUrls> {
        let password = match &self.access {
            Access::Socket { .. } => None,
            Access::Given(_) => Some(self.ensure_role_password(place).await?),
        };
        let [api, worker, edge, operator] =
            ROLES.map(|role| self.access.url_as(&self.database, role, password.as_deref()));
        Ok(RoleUrls { api, worker, edge, operator })
    }

    async fn ensure_role_password(&self, place: &Place) -> Result<String> {
        let path = place.secrets().join("role_password");
        if !path.exists() {
            harness::write_private(&path, &random_hex())?;
        }
        let password = std::fs::read_to_string(path)?.trim().to_owned();
        let mut connection = PgConnection::connect(&self.database_url()).await?;
        for role in ROLES {
            let statement = format!("ALTER ROLE {role} PASSWORD '{password}'");
            connection.execute(sqlx::AssertSqlSafe(statement)).await?;
        }
        Ok(password)
    }
}
