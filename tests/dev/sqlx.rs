//! `cargo dev sqlx`: every query checked against the migrations, and the cache by which builds need no
//! database. It migrates by itself rather than by `pytake-api`, which a stale cache would keep from building.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use harness::{Durability, Postgres, place_for_servers, root};
use sqlx::{Connection as _, PgConnection};

use crate::say;

/// Crates that hold SQL.
const CRATES: [&str; 3] = ["shared/store", "shared/feed", "shared/jobs"];
/// A migration that starts with this runs outside a transaction.
const NO_TRANSACTION: &str = "-- no-transaction";

pub(crate) async fn run(check: bool) -> Result<()> {
    say::step("checking every query against a fresh database");
    let place =
        place_for_servers(&tempfile::Builder::new().prefix("pytake-sql-").tempdir()?.keep())?;
    let log = std::env::temp_dir().join(format!("pytake-sql-{}.log", std::process::id()));
    let postgres = Postgres::start(&place, &log, Durability::Scratch).await?;
    let url = postgres.access().url("postgres");
    migrate(&url).await?;
    let fresh = tempfile::tempdir()?;
    for name in CRATES {
        // The queries are checked when their crate is compiled, and only then.
        touch(&root().join(name).join("src/lib.rs"))?;
    }
    // These crates alone: apalis-postgres checks queries of its own, which are no business of our cache.
    let status = Command::new("cargo")
        .args(["check", "--quiet", "-p", "store", "-p", "feed", "-p", "jobs"])
        .current_dir(root())
        .env("DATABASE_URL", &url)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", fresh.path())
        .status()
        .context("cannot run cargo")?;
    drop(postgres);
    // Of no more interest; the next run has its own.
    let _ = std::fs::remove_file(&log);
    if !status.success() {
        bail!("a query does not fit the schema, or the workspace does not compile (see above)");
    }
    let cache = root().join(".sqlx");
    let (made, kept) = (queries(fresh.path())?, queries(&cache)?);
    if made == kept {
        say::step(&format!("{} queries fit the schema, .sqlx is fresh", made.len()));
        return Ok(());
    }
    if check {
        let differing = made.iter().filter(|(name, text)| kept.get(*name) != Some(text)).count();
        let orphans = kept.keys().filter(|name| !made.contains_key(*name)).count();
        bail!(
            ".sqlx is stale ({differing} new or changed, {orphans} orphaned): run `cargo dev sqlx`"
        );
    }
    replace(&cache, &made)?;
    say::step(&format!(".sqlx holds {} queries now", made.len()));
    Ok(())
}

async fn migrate(url: &str) -> Result<()> {
    let folder = root().join("migrations");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .filter(|path| path.file_name().is_some_and(|name| name != "roles.sql"))
        .collect();
    files.sort();
    let mut connection = PgConnection::connect(url).await?;
    let roles = std::fs::read_to_string(folder.join("roles.sql"))?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(roles))
        .execute(&mut connection)
        .await
        .context("roles.sql")?;
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        let whole = if text.starts_with(NO_TRANSACTION) {
            text
        } else {
            format!(
                "BEGIN; SET LOCAL ROLE pytake_owner; SET LOCAL row_security = off;\n{text}\n;COMMIT;"
            )
        };
        let outcome = sqlx::raw_sql(sqlx::AssertSqlSafe(whole)).execute(&mut connection).await;
        outcome.with_context(|| format!("{}", file.display()))?;
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a file's time, for cargo; nothing is decided by it here"
)]
fn touch(path: &Path) -> Result<()> {
    let file = File::options().append(true).open(path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    Ok(file.set_modified(SystemTime::now())?)
}

fn queries(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("query-") {
            found.insert(name, std::fs::read_to_string(&path)?);
        }
    }
    Ok(found)
}

fn replace(folder: &Path, queries: &BTreeMap<String, String>) -> Result<()> {
    if folder.is_dir() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    for (name, text) in queries {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
