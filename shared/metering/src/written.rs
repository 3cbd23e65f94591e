//! Small files that are whole or absent, whenever the process or the machine stops.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Puts a file with `bytes` at `path`, in the place of what is there.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_added_extension("new");
    let made = write(&new, bytes).and_then(|()| fs::rename(&new, path));
    made.inspect_err(|_| drop(fs::remove_file(&new)))
}

/// Puts a file with `bytes` at `path` unless one is there; `temporary` is a name that nobody else uses.
///
/// # Errors
///
/// `AlreadyExists`: there is one, it was not touched.
pub(crate) fn once(path: &Path, temporary: &Path, bytes: &[u8]) -> io::Result<()> {
    // A second name for a whole file: unlike a rename, it does not replace.
    let made = write(temporary, bytes).and_then(|()| fs::hard_link(temporary, path));
    let removed = fs::remove_file(temporary);
    made.and(removed)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        replace(&path, b"a longer text").unwrap();
        replace(&path, b"short").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"short");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(replace(&dir.path().join("none/file"), b"").is_err());
    }

    #[test]
    fn the_first_who_writes_once_wins() {
        let dir = tempfile::tempdir().unwrap();
        let (path, temporary) = (dir.path().join("file"), dir.path().join("file.mine"));
        once(&path, &temporary, b"first").unwrap();
        let error = once(&path, &temporary, b"second").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
