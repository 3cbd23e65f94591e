//! A segment: the mapped file that requests are counted in, and how a request finds its slot.
//!
//! Counting takes no lock. Slots are found by open addressing within the thread's stripe; a slot is claimed
//! once and belongs to its key for the segment's life. Two threads that claim a slot each for one key do no
//! harm: sums are made when the segment is read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::FallocateFlags;

use crate::error::{Full, SpoolError};
use crate::key::Key;
use crate::layout::{CLAIMED, EMPTY, Head, Record, Slot};
use crate::map::Map;
use crate::pressure::{BRIM, CROWDED, WANTED};

/// Slots that are looked at before another stripe is tried.
const PROBES_NEAR: usize = 64;

/// A segment that is counted in.
pub(crate) struct Segment {
    map: Map,
    head: Head,
    /// Claimed slots of each stripe. Not in the file: only this process needs it.
    used: Box<[Used]>,
    slots: usize,
}

/// A line for itself, as it is written by the stripe's threads.
#[derive(Default)]
#[repr(align(64))]
struct Used(AtomicU32);

impl Segment {
    /// Makes the file at `path` and maps it. It appears there whole or not at all.
    ///
    /// # Errors
    ///
    /// The disk is full, or the system refused otherwise; nothing is left behind then.
    pub(crate) fn create(path: &Path, head: Head) -> Result<Self, SpoolError> {
        let new = path.with_added_extension("new");
        let made = make_file(&new, &head)
            .and_then(|file| Map::new(&file))
            .and_then(|map| fs::rename(&new, path).map(|()| map));
        let map = made.map_err(|source| {
            // What matters is the first error; a file that stays is replaced by the next attempt.
            let _ = fs::remove_file(&new);
            SpoolError::Io { path: path.to_owned(), source }
        })?;
        map.touch();
        let used = (0..head.stripes).map(|_| Used::default()).collect();
        let slots = usize::try_from(head.slots).unwrap_or(usize::MAX);
        Ok(Self { map, head, used, slots })
    }

    /// Adds one to `key`'s count, in stripe `home` (of any number) if it has a place. Returns bits of pressure
    /// to raise.
    #[inline]
    pub(crate) fn count(&self, home: usize, key: &Key) -> Result<u8, Full> {
        let tag = key.tag();
        match self.probe(home, key, tag, PROBES_NEAR) {
            Some(raise) => Ok(raise),
            None => self.spill(home, key, tag),
        }
    }

    /// The home stripe has no place nearby: first what is near in the others, then any slot at all.
    #[cold]
    fn spill(&self, home: usize, key: &Key, tag: u64) -> Result<u8, Full> {
        let stripes = || home..home + self.used.len();
        let near = stripes().find_map(|stripe| self.probe(stripe, key, tag, PROBES_NEAR));
        let any = || stripes().find_map(|stripe| self.probe(stripe, key, tag, self.slots));
        near.or_else(any).map(|raise| raise | self.brim()).ok_or(Full)
    }

    #[inline]
    fn probe(&self, stripe: usize, key: &Key, tag: u64, reach: usize) -> Option<u8> {
        // Both sizes are powers of two.
        let stripe = stripe & (self.used.len() - 1);
        let slots = self.map.slots().get(stripe * self.slots..)?.get(..self.slots)?;
        let first = usize::try_from(tag >> 32).unwrap_or_default();
        for step in 0..reach.min(self.slots) {
            let slot = &slots[(first + step) & (slots.len() - 1)];
            let mut seen = slot.tag.load(Ordering::Acquire);
            if seen == EMPTY {
                match claim(slot) {
                    Ok(()) => {
                        slot.publish(key, tag);
                        slot.count.fetch_add(1, Ordering::Release);
                        return Some(self.claimed(stripe));
                    }
                    Err(other) => seen = other,
                }
            }
            // A slot that is claimed and not published may become our key's: one more is taken then.
            if seen == tag && slot.holds(key) {
                slot.count.fetch_add(1, Ordering::Release);
                return Some(0);
            }
        }
        None
    }

    #[cold]
    fn claimed(&self, stripe: usize) -> u8 {
        let used = self.used[stripe].0.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        self.fill_of(used)
    }

    /// The pressure that a stripe with so many used slots makes; all stripes are looked at if it is crowded.
    fn fill_of(&self, used: u32) -> u8 {
        let (used, slots) = (u64::from(used), u64::from(self.head.slots));
        if used * 2 <= slots {
            return 0;
        }
        if used * 4 <= slots * 3 {
            return WANTED;
        }
        WANTED | CROWDED | self.brim()
    }

    fn brim(&self) -> u8 {
        let all = u64::from(self.head.stripes) * u64::from(self.head.slots);
        if self.used().sum::<u64>() * 8 > all * 7 { BRIM } else { 0 }
    }

    /// Used slots, stripe by stripe.
    fn used(&self) -> impl Iterator<Item = u64> {
        self.used.iter().map(|used| u64::from(used.0.load(Ordering::Acquire)))
    }

    /// The pressure that its stripes make.
    pub(crate) fn fill(&self) -> u8 {
        let fullest = self.used.iter().map(|used| used.0.load(Ordering::Acquire)).max();
        self.fill_of(fullest.unwrap_or_default())
    }

    /// Whether nothing was counted in it so far.
    pub(crate) fn is_unused(&self) -> bool {
        self.used().all(|used| used == 0)
    }

    /// The header as it was made; minute and total may have changed since.
    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// Moves all of its counts to unix minute `minute`.
    pub(crate) fn set_minute(&self, minute: u64) {
        self.map.header().minute.store(minute, Ordering::Release);
    }

    /// Notes the boot's running total before this segment.
    pub(crate) fn set_total_before(&self, total: u64) {
        self.map.header().total_before.store(total, Ordering::Release);
    }

    /// Its slots as they are; final only for who owns the segment alone.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> {
        self.map.slots().iter().map(Slot::record)
    }
}

/// Makes an empty slot the caller's. If the process is killed before the key is written, its count is 0.
#[inline]
fn claim(slot: &Slot) -> Result<(), u64> {
    slot.tag.compare_exchange(EMPTY, CLAIMED, Ordering::Acquire, Ordering::Acquire).map(drop)
}

/// A file with all its blocks, so that a full disk is an error here and no SIGBUS at a count.
fn make_file(path: &Path, head: &Head) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, head.file_bytes()) {
        Err(rustix::io::Errno::OPNOTSUPP) => write_zeros(&mut file, head.file_bytes())?,
        other => other?,
    }
    file.write_all_at(&head.encode(), 0)?;
    Ok(file)
}

/// For file systems that cannot set blocks apart.
fn write_zeros(file: &mut File, mut bytes: u64) -> io::Result<()> {
    let zeros = [0; 64 * 1024];
    while bytes > 0 {
        let part = usize::try_from(bytes).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all(&zeros[..part])?;
        bytes -= part as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
