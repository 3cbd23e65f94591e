//! How much disk a spool uses.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;

use crate::boot_dir::DAMAGED;
use crate::error::SpoolError;

/// What is in a spool's directory and the boots' directories in it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) bytes: u64,
    pub(crate) damaged_files: usize,
}

/// Adds up all files. One that goes away meanwhile counts or does not.
pub(crate) fn usage(spool: &Path) -> Result<Usage, SpoolError> {
    let mut usage = Usage::default();
    add(spool, &mut usage, true).map_err(SpoolError::io(spool))?;
    Ok(usage)
}

fn add(dir: &Path, usage: &mut Usage, with_boots: bool) -> io::Result<()> {
    let Some(entries) = unless_gone(fs::read_dir(dir))? else { return Ok(()) };
    for entry in entries {
        let entry: DirEntry = entry?;
        // Does not follow links: nothing outside counts.
        let Some(found) = unless_gone(entry.metadata())? else { continue };
        if found.is_file() {
            usage.bytes = usage.bytes.saturating_add(found.len());
            let damaged = entry.path().extension().is_some_and(|extension| extension == DAMAGED);
            usage.damaged_files += usize::from(damaged);
        } else if found.is_dir() && with_boots {
            add(&entry.path(), usage, false)?;
        }
    }
    Ok(())
}

fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_spool_and_of_its_boots_are_added() {
        let spool = tempfile::tempdir().unwrap();
        let boot = spool.path().join("boot");
        fs::create_dir(&boot).unwrap();
        fs::write(spool.path().join("edge_id"), [0; 10]).unwrap();
        fs::write(spool.path().join("x.segment.damaged"), [0; 200]).unwrap();
        fs::write(boot.join("1.batch"), [0; 3_000]).unwrap();
        let expected = Usage { bytes: 3_210, damaged_files: 1 };
        assert_eq!(usage(spool.path()).unwrap(), expected);
    }

    #[test]
    fn a_spool_that_is_gone_uses_nothing() {
        let spool = tempfile::tempdir().unwrap();
        assert_eq!(usage(&spool.path().join("none")).unwrap(), Usage::default());
    }
}
