//! A folder into which somebody, or the bank's own client, puts files of statements. What was read goes to `done`, what
//! could not be read to `refused`, with the reason beside it.
//!
//! No file is claimed: an import changes nothing a second time, so workers that take the same one at once, and one that
//! was killed before it moved it, do no harm.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use jobs::bank::{self, Clerk};
use payments::bank::{BYTES_MAX, StatementError};
use tokio::fs;

use crate::app::App;

/// A file that was written within so long may be half a file.
const SETTLED: Duration = Duration::from_secs(10);
/// Files of one job; the next one takes the rest.
const FILES_MAX: usize = 100;

pub(super) async fn import_all(app: &App) -> anyhow::Result<()> {
    let Some(folder) = &app.statements_dir else { return Ok(()) };
    for path in waiting(app, folder).await? {
        match import_file(app, &path).await? {
            None => move_to(app, &path, "done").await?,
            Some(error) => refuse(app, &path, &error).await?,
        }
    }
    Ok(())
}

/// Files to read, in the order of their names.
async fn waiting(app: &App, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let named = || format!("payments.bank_transfer.statements_dir: {}", folder.display());
    let mut entries = fs::read_dir(folder).await.with_context(named)?;
    while let Some(entry) = entries.next_entry().await.with_context(named)? {
        let path = entry.path();
        let xml = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xml"));
        // Of the file itself, not of what a link names; one that is gone is another worker's.
        let Ok(metadata) = entry.metadata().await else { continue };
        let written = metadata.modified().ok().and_then(|at| jiff::Timestamp::try_from(at).ok());
        let age = written.map(|at| app.clock.now().duration_since(at));
        let settled = age.is_some_and(|age| age.unsigned_abs() >= SETTLED);
        if xml && metadata.is_file() && settled {
            found.push(path);
        }
    }
    found.sort();
    found.truncate(FILES_MAX);
    Ok(found)
}

/// Takes in what a file holds. The error: why it holds nothing to be taken in.
async fn import_file(app: &App, path: &Path) -> anyhow::Result<Option<StatementError>> {
    let size = match fs::metadata(path).await {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context(path.display().to_string()),
    };
    if usize::try_from(size).map_or(true, |size| size > BYTES_MAX) {
        return Ok(Some(StatementError::TooLarge));
    }
    let bytes = match fs::read(path).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context(path.display().to_string()),
    };
    let statements =
        match tokio::task::spawn_blocking(move || payments::bank::parse(&bytes)).await? {
            Ok(statements) => statements,
            Err(error) => return Ok(Some(error)),
        };
    let bank = app.books.terms.issuer.bank.as_ref();
    let clerk = Clerk {
        store: &app.store,
        now: app.clock.now(),
        random: rand::random,
        account: bank.map(|bank| bank.iban.as_str()),
    };
    for statement in &statements {
        let imported = bank::import(clerk, statement, None).await?;
        tracing::info!(
            statement = imported.statement_id,
            matched = imported.matched,
            unmatched = imported.unmatched,
            known = imported.known,
            "a bank statement was imported"
        );
        for problem in imported.problems {
            tracing::warn!(statement = imported.statement_id, %problem, "a bank statement needs a look");
        }
    }
    Ok(None)
}

async fn refuse(app: &App, path: &Path, error: &StatementError) -> anyhow::Result<()> {
    tracing::warn!(file = %path.display(), %error, "a file of bank statements was refused");
    let folder = folder_of(path, "refused").await?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".reason.txt");
    // Before the file is there, so that nobody finds one without its reason.
    let reason = folder.join(name);
    fs::write(&reason, format!("{error}\n")).await.with_context(|| reason.display().to_string())?;
    move_to(app, path, "refused").await
}

async fn folder_of(path: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new(".")).join(name);
    fs::create_dir_all(&folder).await.with_context(|| folder.display().to_string())?;
    Ok(folder)
}

/// Moves a file. One of its name that is there already stays.
async fn move_to(app: &App, path: &Path, name: &str) -> anyhow::Result<()> {
    let folder = folder_of(path, name).await?;
    let file = path.file_name().unwrap_or_default();
    let mut to = folder.join(file);
    if fs::try_exists(&to).await.unwrap_or(false) {
        let mut other = OsString::from(format!("{}-", app.clock.now().as_millisecond()));
        other.push(file);
        to = folder.join(other);
    }
    match fs::rename(path, &to).await {
        // Another worker was as fast.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        moved => moved.with_context(|| to.display().to_string()),
    }
}
