//! The policy on local disk, so that an edge that is restarted while Postgres is away goes on where it was:
//! one file, the whole policy and then each change, written before the change is put in force. A process that
//! is killed at any moment has lost nothing that it acted on.
//!
//! The file holds keyed hashes, names and permissions, no secret. It is replaced by a shorter one (written
//! beside it, then renamed) once its changes outweigh the policy.

mod frames;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use jiff::Timestamp;
use policy::{Change, Policy, Site};
use serde::{Deserialize, Serialize};

use self::frames::Frames;
use crate::position::Position;

/// What the file starts with. Another form gets another line, and is not read.
const FORM: &[u8] = b"pytake policy 3\n";
const FILE: &str = "policy";
const NEW_FILE: &str = "policy.new";
const LOCK_FILE: &str = "lock";
/// Changes of one frame while the whole policy is written.
const PART: usize = 500;
/// Appended bytes below which the file is not replaced.
const APPENDED_MIN: u64 = 4 << 20;
/// Longest time between two notes that the policy is current, in seconds.
const NOTE_SECS: i64 = 5;

/// One frame of the file.
#[derive(Debug, Serialize, Deserialize)]
enum Record {
    /// A part of the whole policy.
    Part(Vec<Change>),
    /// Changes that make what came before into the policy at a position, known to be current at a time.
    Moment(Vec<Change>, Position, Timestamp),
}

/// A policy, where it stands, and when it was last known to be current.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) policy: Policy,
    pub(crate) position: Position,
    pub(crate) current_at: Timestamp,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocalError {
    /// The system refuses.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Its bytes are not those that were written.
    #[error("it is damaged or of another release")]
    Damaged,
}

/// The folder, and the file in it while it can be written.
#[derive(Debug)]
pub(crate) struct Local {
    folder: PathBuf,
    /// Held as long as this process writes there.
    lock: Option<File>,
    journal: Option<Journal>,
    replacement: Option<Replacement>,
    noted_at: Option<Timestamp>,
    /// It could not be written, or is another process's.
    hopeless: bool,
}

#[derive(Debug)]
struct Journal {
    file: File,
    /// How much of it is the whole policy, and how much was appended.
    whole: u64,
    appended: u64,
}

/// A new file in the making, and what must follow in it.
#[derive(Debug)]
struct Replacement {
    writer: JoinHandle<io::Result<(File, u64)>>,
    pending: Vec<u8>,
}

impl Local {
    /// The policy kept in `folder`.
    pub(crate) const fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            lock: None,
            journal: None,
            replacement: None,
            noted_at: None,
            hopeless: false,
        }
    }

    /// What was kept, if it can be used.
    ///
    /// # Errors
    /// When there is nothing, or it cannot be relied on.
    pub(crate) fn restore(&mut self, site: Arc<Site>) -> Result<Restored, LocalError> {
        let mut frames = Frames::open(&self.folder.join(FILE), FORM)?;
        let mut policy = Policy::new(site);
        let mut last = None;
        let (mut whole, mut good) = (0, 0);
        while let Some(bytes) = frames.next()? {
            let record = postcard::from_bytes(bytes).map_err(|_| LocalError::Damaged)?;
            match record {
                Record::Part(changes) => changes.into_iter().for_each(|c| policy.apply(c)),
                Record::Moment(changes, position, current_at) => {
                    changes.into_iter().for_each(|change| policy.apply(change));
                    last = Some((position, current_at));
                    good = frames.position();
                    whole = if whole == 0 { good } else { whole };
                }
            }
        }
        // Parts without a moment after them are no policy: the file was not finished.
        let (position, current_at) = last.ok_or(LocalError::Damaged)?;
        if self.locked() {
            let file = OpenOptions::new().append(true).open(self.folder.join(FILE))?;
            // A kill may have cut the last record off; the next one must not follow its remains.
            file.set_len(good)?;
            self.journal = Some(Journal { file, whole, appended: good - whole });
        }
        Ok(Restored { policy, position, current_at })
    }

    /// Notes `changes` that lead to `position`, and that all is current at `now`. To be called before they
    /// are put in force.
    pub(crate) fn append(&mut self, changes: Vec<Change>, position: &Position, now: Timestamp) {
        let soon = |at: Timestamp| now.as_second() - at.as_second() < NOTE_SECS;
        if changes.is_empty() && self.noted_at.is_some_and(soon) {
            return;
        }
        self.noted_at = Some(now);
        let frame = match frame(&Record::Moment(changes, position.clone(), now)) {
            Ok(frame) => frame,
            Err(error) => return self.give_up(&error),
        };
        if let Some(replacement) = &mut self.replacement {
            replacement.pending.extend_from_slice(&frame);
        }
        if let Some(journal) = &mut self.journal {
            match journal.file.write_all(&frame) {
                Ok(()) => journal.appended += frame.len() as u64,
                Err(error) => self.give_up(&error),
            }
        }
    }

    /// Forgets what was kept: it leads nowhere any more, and a restart had better start with nothing.
    pub(crate) fn discard(&mut self) {
        self.journal = None;
        self.noted_at = None;
        if let Some(replacement) = self.replacement.take() {
            // It cannot be stopped; a rename of it would be, by there being no replacement.
            let _ = replacement.writer.join();
        }
        if self.locked()
            && let Err(error) = remove(&self.folder.join(FILE))
        {
            tracing::error!(%error, "the local policy is out of date and cannot be removed");
        }
    }

    /// Whether this process is through with the first file: it is there, or cannot be, or is another's.
    pub(crate) const fn settled(&self) -> bool {
        self.hopeless || self.journal.is_some()
    }

    /// Starts or finishes a new file, where one is due. Cheap; to be called now and then with what is in force.
    pub(crate) fn tend(&mut self, policy: &Policy, position: &Position, now: Timestamp) {
        if self.replacement.as_ref().is_some_and(|new| new.writer.is_finished()) {
            if let Err(error) = self.finish_replacement() {
                self.give_up(&error);
            }
            return;
        }
        let due = self.journal.as_ref().is_none_or(|journal| {
            journal.appended > APPENDED_MIN && journal.appended > journal.whole / 2
        });
        if due && self.replacement.is_none() {
            if !self.locked() {
                self.hopeless = true;
                return;
            }
            let (policy, position) = (policy.clone(), position.clone());
            let path = self.folder.join(NEW_FILE);
            let writer = std::thread::spawn(move || write_whole(&path, &policy, position, now));
            self.replacement = Some(Replacement { writer, pending: Vec::new() });
        }
    }

    fn finish_replacement(&mut self) -> io::Result<()> {
        let Some(Replacement { writer, pending }) = self.replacement.take() else { return Ok(()) };
        let (mut file, whole) =
            writer.join().map_err(|_| io::Error::other("its writer failed"))??;
        file.write_all(&pending)?;
        fs::rename(self.folder.join(NEW_FILE), self.folder.join(FILE))?;
        File::open(&self.folder)?.sync_all()?;
        self.journal = Some(Journal { file, whole, appended: pending.len() as u64 });
        Ok(())
    }

    /// What is on disk does not follow what is in force any more: worse than nothing.
    fn give_up(&mut self, error: &io::Error) {
        tracing::error!(%error, folder = %self.folder.display(), "the policy cannot be kept on disk");
        self.hopeless = true;
        self.discard();
    }

    /// Whether this process may write: one at a time, for two would write over each other.
    fn locked(&mut self) -> bool {
        if self.lock.is_none() {
            match lock(&self.folder) {
                Ok(lock) => self.lock = lock,
                Err(error) => {
                    let folder = self.folder.display();
                    tracing::error!(%error, %folder, "the policy cannot be kept on disk");
                }
            }
        }
        self.lock.is_some()
    }
}

fn lock(folder: &Path) -> io::Result<Option<File>> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let file = create(&folder.join(LOCK_FILE))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn frame(record: &Record) -> io::Result<Vec<u8>> {
    frames::frame(&postcard::to_stdvec(record).map_err(io::Error::other)?)
}

/// Writes the whole policy to `path`; returns the file, to be appended to, and its length.
fn write_whole(
    path: &Path,
    policy: &Policy,
    position: Position,
    now: Timestamp,
) -> io::Result<(File, u64)> {
    let mut writer = BufWriter::with_capacity(1 << 20, create(path)?);
    writer.write_all(FORM)?;
    let mut changes = policy.changes();
    loop {
        let part: Vec<Change> = changes.by_ref().take(PART).collect();
        if part.is_empty() {
            break;
        }
        writer.write_all(&frame(&Record::Part(part))?)?;
    }
    writer.write_all(&frame(&Record::Moment(Vec::new(), position, now))?)?;
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    let len = file.metadata()?.len();
    Ok((file, len))
}

#[cfg(test)]
mod tests;
