//! The directory of one process start: its files by name, and the lock that says whose it is.
//!
//! Who holds the lock may write and remove here. The process holds its own for its life; when it ends, however
//! it ends, the kernel lets go, and the next process may adopt what is there.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::error::SpoolError;

const LOCK: &str = "lock";
const LABELS: &str = "labels";
const SEGMENT: &str = "segment";
const BATCH: &str = "batch";
/// Of files that could not be read; they are kept in the spool's own directory.
pub(crate) const DAMAGED: &str = "damaged";

/// A boot's directory that this process has locked.
#[derive(Debug)]
pub(crate) struct BootDir {
    pub(crate) boot_id: Uuid,
    spool: PathBuf,
    path: PathBuf,
    /// Held, never read.
    _lock: File,
}

impl BootDir {
    /// Makes the directory of this boot.
    ///
    /// It gets its name when it is locked: under the name, it never looks abandoned.
    pub(crate) fn create(spool: &Path, boot_id: Uuid) -> Result<Self, SpoolError> {
        let path = spool.join(boot_id.to_string());
        let new = path.with_added_extension("new");
        let made = DirBuilder::new()
            .mode(0o700)
            .create(&new)
            .and_then(|()| {
                let lock = new.join(LOCK);
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(lock)
            })
            .and_then(|lock| lock.try_lock().map_err(io::Error::from).map(|()| lock))
            .and_then(|lock| fs::rename(&new, &path).map(|()| lock));
        let lock = made.map_err(|source| {
            // What matters is the first error.
            let _ = fs::remove_dir_all(&new);
            SpoolError::Io { path: path.clone(), source }
        })?;
        Ok(Self { boot_id, spool: spool.to_owned(), path, _lock: lock })
    }

    /// Takes over the directory of a process that is no more; `None` if one holds it, or is removing it.
    pub(crate) fn adopt(spool: &Path, boot_id: Uuid) -> Result<Option<Self>, SpoolError> {
        let path = spool.join(boot_id.to_string());
        // Not created: without a lock file the directory is empty, and somebody was about to remove it.
        let lock = match OpenOptions::new().write(true).open(path.join(LOCK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let _ = fs::remove_dir(&path);
                return Ok(None);
            }
            opened => opened.map_err(SpoolError::io(&path))?,
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(SpoolError::Io { path, source }),
        }
        // It may have been removed between opening and locking: then what is locked is a file without a name.
        if !path.join(LOCK).exists() {
            return Ok(None);
        }
        Ok(Some(Self { boot_id, spool: spool.to_owned(), path, _lock: lock }))
    }

    pub(crate) fn labels(&self) -> PathBuf {
        self.path.join(LABELS)
    }

    pub(crate) fn segment(&self, number: u64) -> PathBuf {
        self.path.join(format!("{}.{SEGMENT}", digits_of(number)))
    }

    pub(crate) fn batch(&self, number: u64) -> PathBuf {
        self.path.join(format!("{}.{BATCH}", digits_of(number)))
    }

    /// The numbers of all segments and batches, a number that is both once; none when it was removed.
    pub(crate) fn numbers(&self) -> Result<BTreeSet<u64>, SpoolError> {
        let mut numbers = BTreeSet::new();
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(numbers),
            read => read.map_err(SpoolError::io(&self.path))?,
        };
        for entry in entries {
            let entry = entry.map_err(SpoolError::io(&self.path))?;
            numbers.extend(entry.file_name().to_str().and_then(number_of));
        }
        Ok(numbers)
    }

    /// Moves a file that is not what was written out of the way, and says where. It is kept for whoever wants
    /// to look: counts may be read out of it by hand.
    pub(crate) fn set_aside(&self, file: &Path) -> SpoolError {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let path = self.spool.join(format!("{}-{name}.{DAMAGED}", self.boot_id));
        if let Err(source) = fs::rename(file, &path) {
            return SpoolError::Io { path: file.to_owned(), source };
        }
        tracing::error!(
            batch.path = %path.display(),
            "a batch of requests is damaged and was set aside: its requests are not counted",
        );
        SpoolError::Damaged { path }
    }

    /// Removes the directory, when all of its batches are gone. The lock goes last, so that what a kill leaves
    /// can be adopted and removed again.
    pub(crate) fn remove(&self) -> Result<(), SpoolError> {
        let batches = self.numbers()?.len();
        if batches > 0 {
            return Err(SpoolError::Unshipped { batches });
        }
        self.keep_labels_of_damaged()?;
        for entry in fs::read_dir(&self.path).map_err(SpoolError::io(&self.path))? {
            let entry = entry.map_err(SpoolError::io(&self.path))?;
            if entry.file_name() != LOCK {
                fs::remove_file(entry.path()).map_err(SpoolError::io(&entry.path()))?;
            }
        }
        let lock = self.path.join(LOCK);
        fs::remove_file(&lock).map_err(SpoolError::io(&lock))?;
        fs::remove_dir(&self.path).map_err(SpoolError::io(&self.path))
    }

    /// A damaged segment is worth nothing without the texts of its labels.
    fn keep_labels_of_damaged(&self) -> Result<(), SpoolError> {
        let ours = self.boot_id.to_string();
        for entry in fs::read_dir(&self.spool).map_err(SpoolError::io(&self.spool))? {
            let entry = entry.map_err(SpoolError::io(&self.spool))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(&ours) && name.ends_with(DAMAGED) {
                let kept = self.spool.join(format!("{ours}-{LABELS}"));
                return unless_gone(fs::rename(self.labels(), &kept))
                    .map_err(SpoolError::io(&kept));
            }
        }
        Ok(())
    }
}

/// Sorted as text they are sorted by number, for whoever lists them.
fn digits_of(number: u64) -> String {
    format!("{number:010}")
}

/// The number in the name of a segment or batch.
fn number_of(name: &str) -> Option<u64> {
    let (digits, kind) = name.split_once('.')?;
    let number = digits.parse().ok()?;
    // Only the one spelling that we use: others would be another file.
    let ours = (kind == SEGMENT || kind == BATCH) && digits == digits_of(number);
    ours.then_some(number)
}

/// All boots that have a directory in `spool`, sorted: by time, if their ids are.
pub(crate) fn boots(spool: &Path) -> Result<BTreeSet<Uuid>, SpoolError> {
    let mut boots = BTreeSet::new();
    for entry in fs::read_dir(spool).map_err(SpoolError::io(spool))? {
        let entry = entry.map_err(SpoolError::io(spool))?;
        let name = entry.file_name();
        // Only the one spelling that `create` uses: others would be another directory.
        let id = name.to_str().and_then(|name| name.parse::<Uuid>().ok());
        boots.extend(id.filter(|id| name == id.to_string().as_str()));
    }
    Ok(boots)
}

/// What was to be removed or moved may be gone already.
pub(crate) fn unless_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: Uuid = Uuid::from_u128(5);

    #[test]
    fn a_directory_is_adopted_once_its_lock_is_free() {
        let spool = tempfile::tempdir().unwrap();
        let first = BootDir::create(spool.path(), BOOT).unwrap();
        assert!(BootDir::adopt(spool.path(), BOOT).unwrap().is_none(), "held");
        drop(first);
        let second = BootDir::adopt(spool.path(), BOOT).unwrap().unwrap();
        assert!(BootDir::adopt(spool.path(), BOOT).unwrap().is_none(), "held again");
        second.remove().unwrap();
        drop(second);
        assert!(boots(spool.path()).unwrap().is_empty());
    }

    #[test]
    fn a_directory_with_batches_is_not_removed() {
        let spool = tempfile::tempdir().unwrap();
        let dir = BootDir::create(spool.path(), BOOT).unwrap();
        fs::write(dir.batch(1), "").unwrap();
        fs::write(dir.segment(1), "").unwrap();
        fs::write(dir.segment(12_345_678_901), "").unwrap();
        fs::write(dir.segment(3).with_added_extension("new"), "").unwrap();
        assert_eq!(dir.numbers().unwrap(), BTreeSet::from([1, 12_345_678_901]));
        assert!(matches!(dir.remove(), Err(SpoolError::Unshipped { batches: 2 })));
    }

    #[test]
    fn what_a_kill_left_of_a_removal_is_removed() {
        let spool = tempfile::tempdir().unwrap();
        let dir = BootDir::create(spool.path(), BOOT).unwrap();
        fs::remove_file(dir.path.join(LOCK)).unwrap();
        drop(dir);
        assert!(BootDir::adopt(spool.path(), BOOT).unwrap().is_none());
        assert!(boots(spool.path()).unwrap().is_empty());
    }

    #[test]
    fn other_names_are_no_boots() {
        let spool = tempfile::tempdir().unwrap();
        for name in ["edge_id", "00000000000000000000000000000005", "{x}", "5"] {
            fs::create_dir(spool.path().join(name)).unwrap();
        }
        fs::create_dir(spool.path().join(format!("{BOOT}.new"))).unwrap();
        assert!(boots(spool.path()).unwrap().is_empty());
    }
}
