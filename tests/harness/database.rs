//! How a Postgres server is reached, and one database of it for one test.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use anyhow::{Context as _, Result};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::cable::Cable;
use crate::secrets::random_name;

/// A server and a login that may create databases and roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// A private server.
    Socket {
        /// Folder of the socket.
        folder: PathBuf,
        /// The login.
        admin: String,
    },
    /// A server that we were given, by its URL.
    Given(String),
}

impl Access {
    /// A server by its socket's folder.
    #[must_use]
    pub fn by_socket(folder: &Path, admin: &str) -> Self {
        Self::Socket { folder: folder.to_owned(), admin: admin.to_owned() }
    }

    /// URL of `database` as the administrator.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        match self {
            Self::Socket { admin, .. } => self.url_as(database, admin, None),
            Self::Given(url) => replace(url, None, database),
        }
    }

    /// URL of `database` as `role`.
    #[must_use]
    pub fn url_as(&self, database: &str, role: &str, password: Option<&str>) -> String {
        match self {
            Self::Socket { folder, .. } => {
                let password = password.map(|password| format!("&password={password}"));
                format!(
                    "postgresql:///{database}?host={}&user={role}{}",
                    encoded(folder),
                    password.unwrap_or_default()
                )
            }
            Self::Given(url) => replace(url, Some((role, password)), database),
        }
    }

    /// The same server by another socket.
    pub(crate) fn through(&self, folder: &Path) -> Self {
        let admin = match self {
            Self::Socket { admin, .. } => admin.clone(),
            Self::Given(_) => String::new(),
        };
        Self::Socket { folder: folder.to_owned(), admin }
    }

    /// Where the private server's socket is.
    pub(crate) fn socket_folder(&self) -> Option<&Path> {
        match self {
            Self::Socket { folder, .. } => Some(folder),
            Self::Given(_) => None,
        }
    }

    /// Host and port of a given server.
    pub(crate) fn address(&self) -> Option<String> {
        match self {
            Self::Socket { .. } => None,
            Self::Given(url) => {
                let options = PgConnectOptions::from_str(url).ok()?;
                Some(format!("{}:{}", options.get_host(), options.get_port()))
            }
        }
    }

    /// The database that the given URL names.
    #[must_use]
    pub fn given_database(&self) -> Option<String> {
        match self {
            Self::Socket { .. } => None,
            Self::Given(url) => {
                let options = PgConnectOptions::from_str(url).ok()?;
                options.get_database().map(str::to_owned)
            }
        }
    }

    /// The administrator's connection to the server's own database.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn administrate(&self) -> Result<PgConnection> {
        PgConnection::connect(&self.url("postgres"))
            .await
            .context("cannot connect to Postgres as the administrator")
    }
}

/// A path as it may stand in a URL.
fn encoded(path: &Path) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    path.as_os_str().as_encoded_bytes().iter().copied().map(encode).collect()
}

/// `url` with another login and database.
fn replace(url: &str, login: Option<(&str, Option<&str>)>, database: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
    let (rest, query) =
        rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(u, h)| (Some(u), h));
    let user = match login {
        Some((role, Some(password))) => Some(format!("{role}:{password}")),
        Some((role, None)) => Some(role.to_owned()),
        None => user.map(str::to_owned),
    };
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{scheme}://{user}{host}/{database}{query}")
}

/// A database of its own for one test. Dropped: gone.
#[derive(Debug)]
pub struct TestDatabase {
    access: Access,
    name: String,
    role_password: Option<String>,
}

impl TestDatabase {
    pub(crate) async fn create(
        access: Access,
        template: &str,
        role_password: Option<String>,
    ) -> Result<Self> {
        let name = format!("test_{}", random_name());
        let mut connection = access.administrate().await?;
        let statement = format!("CREATE DATABASE {name} TEMPLATE {template}");
        connection
            .execute(sqlx::AssertSqlSafe(statement))
            .await
            .context("cannot make a test's database")?;
        Ok(Self { access, name, role_password })
    }

    /// URL as the administrator, whom row-level security does not bind.
    #[must_use]
    pub fn url(&self) -> String {
        self.access.url(&self.name)
    }

    /// URL as `pytake_api`, `pytake_worker` or `pytake_edge`.
    #[must_use]
    pub fn url_as(&self, role: &str) -> String {
        self.access.url_as(&self.name, role, self.role_password.as_deref())
    }

    /// As [`Self::url_as`], by way of a cable.
    pub(crate) fn url_through(&self, cable: &Cable, role: &str) -> String {
        cable.access(&self.access).url_as(&self.name, role, self.role_password.as_deref())
    }

    /// The server that it is on.
    pub(crate) const fn access(&self) -> &Access {
        &self.access
    }

    /// A connection as the administrator.
    ///
    /// # Panics
    /// When none can be made.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.expect("the test's database answers")
    }

    /// A connection as an application role.
    ///
    /// # Panics
    /// When none can be made.
    pub async fn connect_as(&self, role: &str) -> PgConnection {
        PgConnection::connect(&self.url_as(role)).await.expect("the role may connect")
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (access, statement) =
            (self.access.clone(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        // A drop cannot wait on the runtime that it may be running in.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = access.administrate().await?;
                connection.execute(sqlx::AssertSqlSafe(statement)).await?;
                anyhow::Ok(())
            })
        });
        // Left behind at worst: the private server's folder is removed with all of it.
        let _ = dropping.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_url_keeps_host_and_options_for_every_role() {
        let access = Access::Given("postgres://admin:secret@db:5433/mine?sslmode=require".into());
        assert_eq!(access.url("x"), "postgres://admin:secret@db:5433/x?sslmode=require");
        assert_eq!(
            access.url_as("x", "pytake_api", Some("p")),
            "postgres://pytake_api:p@db:5433/x?sslmode=require"
        );
        assert_eq!(access.given_database().as_deref(), Some("mine"));
    }

    #[test]
    fn a_sockets_folder_is_percent_encoded() {
        let access = Access::by_socket(Path::new("/a b/ü"), "postgres");
        assert_eq!(access.url("x"), "postgresql:///x?host=/a%20b/%C3%BC&user=postgres");
    }
}
