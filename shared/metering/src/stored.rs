//! Batches on disk: reading one, whichever of its two forms it has, and making the compact form.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::batch::Batch;
use crate::boot_dir::{BootDir, unless_gone};
use crate::error::{Damage, SpoolError};
use crate::labels;
use crate::layout::{self, Head, TOTAL_BEFORE_OFFSET};
use crate::tally::Tally;
use crate::written;

/// Reads batch `number`. A file that is not what was written is set aside; the other form, if there is one,
/// holds the same.
///
/// `chain` is the boot's running total before it, for a segment that was left before anybody noted it there.
///
/// # Errors
///
/// [`SpoolError::Damaged`] if the batch cannot be read any more.
pub(crate) fn read(dir: &BootDir, number: u64, chain: Option<u64>) -> Result<Batch, SpoolError> {
    let (compact, segment) = (dir.batch(number), dir.segment(number));
    if let Some(bytes) = read_file(&compact)? {
        match Batch::decode(&bytes).and_then(|batch| identified(dir, number, batch)) {
            Ok(batch) => {
                unless_gone(fs::remove_file(&segment)).map_err(SpoolError::io(&segment))?;
                return Ok(batch);
            }
            Err(Damage) => {
                let damaged = dir.set_aside(&compact);
                if !segment.exists() || matches!(damaged, SpoolError::Io { .. }) {
                    return Err(damaged);
                }
            }
        }
    }
    // Not `read_file`: what has neither form is an error.
    let bytes = fs::read(&segment).map_err(SpoolError::io(&segment))?;
    let texts = labels::read(&dir.labels())?;
    let batch = Head::decode(&bytes).and_then(|head| {
        let total_before = head.total_before.or(chain).ok_or(Damage)?;
        let tally = Tally::of(layout::records(&bytes))?;
        let batch =
            Batch::of_segment(&head, total_before, &tally, |number| texts.get(&number).cloned())?;
        identified(dir, number, batch)
    });
    batch.map_err(|Damage| dir.set_aside(&segment))
}

/// A file in the place of another is no less wrong than one with other bytes.
fn identified(dir: &BootDir, number: u64, batch: Batch) -> Result<Batch, Damage> {
    if batch.boot_id == dir.boot_id && batch.number == number { Ok(batch) } else { Err(Damage) }
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>, SpoolError> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(SpoolError::io(path)),
    }
}

/// Writes the compact form of a batch, then removes its segment. On an error the segment stays, and is the
/// batch all the same.
pub(crate) fn compact(dir: &BootDir, batch: &Batch) -> Result<(), SpoolError> {
    let path = dir.batch(batch.number);
    let bytes = batch.encode().map_err(|Damage| SpoolError::Damaged { path: path.clone() })?;
    written::replace(&path, &bytes).map_err(SpoolError::io(&path))?;
    let segment = dir.segment(batch.number);
    unless_gone(fs::remove_file(&segment)).map_err(SpoolError::io(&segment))
}

/// What the batches of an adopted boot came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Requests of the boot.
    pub(crate) total: u64,
    /// Unix minutes.
    pub(crate) minute: i64,
}

/// Goes through the batches of an adopted boot once: notes the running totals that its process had no time to
/// note, and compacts. After this each batch can be read, and removed, without the one before it.
///
/// Returns the last one's end; `None` if no batch is left.
pub(crate) fn settle(dir: &BootDir) -> Result<Option<Ending>, SpoolError> {
    let mut ending = None;
    for number in dir.numbers()? {
        let total = ending.map_or(0, |ending: Ending| ending.total);
        let batch = match read(dir, number, Some(total)) {
            Err(SpoolError::Damaged { .. }) => continue,
            read => read?,
        };
        if dir.segment(number).exists()
            && let Err(error) = compact(dir, &batch)
        {
            tracing::warn!(batch.number = number, %error, "a batch stays as large as it is");
            note_total_before(&dir.segment(number), batch.total_before)?;
        }
        ending = Some(Ending { total: batch.total_after(), minute: batch.minute });
    }
    Ok(ending)
}

/// Into a segment's header. The page is there already: a full disk does not matter.
fn note_total_before(segment: &Path, total: u64) -> Result<(), SpoolError> {
    fs::OpenOptions::new()
        .write(true)
        .open(segment)
        .and_then(|file| file.write_all_at(&total.to_ne_bytes(), TOTAL_BEFORE_OFFSET))
        .map_err(SpoolError::io(segment))
}
