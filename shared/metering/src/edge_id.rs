//! Which edge this is, over all its restarts: made once, kept in the spool.

use std::fs;
use std::io;
use std::path::Path;

use uuid::Uuid;

use crate::boot_dir::DAMAGED;
use crate::error::SpoolError;
use crate::written;

const FILE: &str = "edge_id";

/// The id in `spool`; if there is none, `new` becomes it. Of two processes that start together one is first,
/// and the other takes its id; `boot_id` keeps their temporary files apart.
pub(crate) fn load(spool: &Path, new: Uuid, boot_id: Uuid) -> Result<Uuid, SpoolError> {
    let path = spool.join(FILE);
    if let Some(id) = read(&path, boot_id)? {
        return Ok(id);
    }
    let temporary = spool.join(format!("{FILE}.{boot_id}"));
    match written::once(&path, &temporary, new.to_string().as_bytes()) {
        Ok(()) => Ok(new),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            read(&path, boot_id)?.ok_or(SpoolError::Io { path, source: error })
        }
        Err(source) => Err(SpoolError::Io { path, source }),
    }
}

/// `None` if there is no id, or none that can be read: that file is set aside.
fn read(path: &Path, boot_id: Uuid) -> Result<Option<Uuid>, SpoolError> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(SpoolError::io(path))?,
    };
    if let Ok(id) = Uuid::try_parse_ascii(&text) {
        return Ok(Some(id));
    }
    // Every batch carries the id it was counted under, so one that waits is not shipped under another.
    tracing::error!(edge_id.path = %path.display(), "the edge's id is damaged: it gets another");
    let aside = path.with_file_name(format!("{boot_id}-{FILE}.{DAMAGED}"));
    fs::rename(path, &aside).map_err(SpoolError::io(&aside))?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: Uuid = Uuid::from_u128(9);

    #[test]
    fn the_first_id_stays() {
        let spool = tempfile::tempdir().unwrap();
        let ids = [1, 2, 3].map(|id| load(spool.path(), Uuid::from_u128(id), BOOT).unwrap());
        assert_eq!(ids, [Uuid::from_u128(1); 3]);
    }

    #[test]
    fn a_damaged_id_is_replaced_once() {
        let spool = tempfile::tempdir().unwrap();
        fs::write(spool.path().join(FILE), b"\xff not an id").unwrap();
        let ids = [1, 2].map(|id| load(spool.path(), Uuid::from_u128(id), BOOT).unwrap());
        assert_eq!(ids, [Uuid::from_u128(1); 2]);
    }
}
