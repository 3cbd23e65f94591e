//! What waits to be shipped: this boot's sealed batches, and everything that killed predecessors left.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use uuid::Uuid;

use crate::batch::Batch;
use crate::boot_dir::{self, BootDir, unless_gone};
use crate::error::SpoolError;
use crate::spool::Spool;
use crate::stored::{self, Ending};

/// Predecessors whose lock this process holds.
pub(crate) type Adopted = BTreeMap<Uuid, (Arc<BootDir>, Option<Ending>)>;

/// A start of the process, and its batches that were not forgotten yet.
#[derive(Debug)]
pub struct Boot {
    /// Its id.
    pub boot_id: Uuid,
    /// In the order of their numbers.
    pub batches: Vec<Pending>,
    /// `None`: it is this process, and goes on counting.
    pub predecessor: Option<Predecessor>,
}

/// A process that is no more. Nothing will be added to its batches.
#[derive(Debug)]
pub struct Predecessor {
    /// Requests it counted, as far as this process has seen; `None` if it found no batch of it.
    pub total: Option<u64>,
    /// Minute of its last batch that this process has seen, in unix minutes.
    pub last_minute: Option<i64>,
    dir: Arc<BootDir>,
}

impl Predecessor {
    /// Removes its directory, once all of its batches are forgotten.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Unshipped`]: some are not; [`SpoolError::Io`].
    pub fn remove(self) -> Result<(), SpoolError> {
        self.dir.remove()
    }
}

/// A batch on disk.
#[derive(Debug)]
pub struct Pending {
    number: u64,
    dir: Arc<BootDir>,
}

impl Pending {
    /// The batch's number within its boot.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Reads it. Always the same, until it is forgotten.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Damaged`]: its file was set aside, go on with the next; [`SpoolError::Io`]: try again.
    pub fn read(&self) -> Result<Batch, SpoolError> {
        stored::read(&self.dir, self.number, None)
    }

    /// Removes it from the disk, when whoever it was shipped to has it for good.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Io`]: it may still be there, and be shipped again under the same name.
    pub fn forget(self) -> Result<(), SpoolError> {
        for path in [self.dir.segment(self.number), self.dir.batch(self.number)] {
            unless_gone(fs::remove_file(&path)).map_err(SpoolError::io(&path))?;
        }
        Ok(())
    }
}

impl Spool {
    /// All that can be shipped now, sorted by boot: sealed batches of this process and everything that
    /// predecessors left. A predecessor that is alive, and one whose files cannot be used now, is left out.
    ///
    /// Adopting one reads all of its batches once; files that are not what was written are set aside.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Io`]: a directory cannot be read.
    pub fn pending(&self) -> Result<Vec<Boot>, SpoolError> {
        let boots = boot_dir::boots(&self.path)?;
        let mut adopted = self.adopted.lock().unwrap_or_else(PoisonError::into_inner);
        // One that was removed lets go of its lock.
        adopted.retain(|boot_id, _| boots.contains(boot_id));
        for boot_id in boots.into_iter().filter(|id| *id != self.dir.boot_id) {
            if !adopted.contains_key(&boot_id) {
                adopted.extend(adopt(self, boot_id).map(|adoption| (boot_id, adoption)));
            }
        }
        let own = Boot {
            boot_id: self.dir.boot_id,
            batches: batches(&self.dir, self.sealed_below.load(Ordering::Acquire))?,
            predecessor: None,
        };
        let mut pending = vec![own];
        for (dir, ending) in adopted.values() {
            let (total, last_minute) = ending.map(|end| (end.total, end.minute)).unzip();
            pending.push(Boot {
                boot_id: dir.boot_id,
                batches: batches(dir, u64::MAX)?,
                predecessor: Some(Predecessor { total, last_minute, dir: Arc::clone(dir) }),
            });
        }
        pending.sort_by_key(|boot| boot.boot_id);
        Ok(pending)
    }

    /// Batches that [`Spool::pending`] would list, without adopting anyone.
    pub(crate) fn pending_batches(&self) -> Result<usize, SpoolError> {
        let adopted = self.adopted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pending = batches(&self.dir, self.sealed_below.load(Ordering::Acquire))?.len();
        for (dir, _) in adopted.values() {
            pending += dir.numbers()?.len();
        }
        Ok(pending)
    }
}

/// Locks a predecessor's directory and goes through it. One that cannot be used is tried again next time.
fn adopt(spool: &Spool, boot_id: Uuid) -> Option<(Arc<BootDir>, Option<Ending>)> {
    let adopted = BootDir::adopt(&spool.path, boot_id).and_then(|dir| match dir {
        Some(dir) => stored::settle(&dir).map(|ending| Some((Arc::new(dir), ending))),
        None => Ok(None),
    });
    adopted.unwrap_or_else(|error| {
        tracing::error!(
            %boot_id,
            error = &error as &dyn std::error::Error,
            "batches of a process that is no more cannot be adopted",
        );
        None
    })
}

fn batches(dir: &Arc<BootDir>, below: u64) -> Result<Vec<Pending>, SpoolError> {
    let numbers = dir.numbers()?.into_iter().take_while(|number| *number < below);
    Ok(numbers.map(|number| Pending { number, dir: Arc::clone(dir) }).collect())
}
