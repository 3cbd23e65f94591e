//! A segment file in memory. The only unsafe code of the crate: it says that a mapped page is a header and
//! that what follows are slots.
//!
//! Why that is sound: the mapping lives as long as the references (they borrow from [`Map`]); it is aligned to
//! a page and as long as was checked; every field of both types is an atomic, for which any bytes are valid and
//! which another thread, or process, may change at any time. What is left to trust is that nobody shortens a
//! file while it is mapped; the directory is private to us and locked.

use std::fs::File;
use std::io;
use std::sync::atomic::Ordering;

use memmap2::MmapRaw;

use crate::layout::{HEADER_BYTES, Header, SLOT_BYTES, Slot};

/// A mapped segment file, shared with the file: what is stored here survives the process.
pub(crate) struct Map {
    memory: MmapRaw,
    slots: usize,
}

impl Map {
    /// Maps `file`.
    ///
    /// # Errors
    ///
    /// The file is shorter than a header and one slot, or the system refused.
    pub(crate) fn new(file: &File) -> io::Result<Self> {
        let memory = MmapRaw::map_raw(file)?;
        let slots = memory.len().saturating_sub(HEADER_BYTES) / SLOT_BYTES;
        if slots == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self { memory, slots })
    }

    /// Has the kernel map every page for writing, so that no count has to wait for it: measured on ext4, the
    /// first write to a file's pages takes 0.7 ms and one to a further page 4 µs.
    pub(crate) fn touch(&self) {
        for first_of_page in self.slots().iter().step_by(HEADER_BYTES / SLOT_BYTES) {
            first_of_page.spare.store(0, Ordering::Relaxed);
        }
    }

    #[inline]
    #[expect(unsafe_code, reason = "a mapped page seen as the header")]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: `new` saw that the mapping is longer than `HEADER_BYTES`, which a constant assertion says is
        // enough for `Header`. Mappings are aligned to pages. `Header` is `repr(C)` of `AtomicU64`s: all bytes
        // are valid, and sharing it is sound as all access is atomic. The reference borrows `self`, and with it
        // the mapping.
        unsafe { &*self.memory.as_mut_ptr().cast::<Header>() }
    }

    #[inline]
    #[expect(unsafe_code, reason = "mapped pages seen as slots")]
    pub(crate) fn slots(&self) -> &[Slot] {
        // SAFETY: `new` counted how many whole slots there are between `HEADER_BYTES` and the mapping's end, so
        // the slice is inside of it. The mapping is aligned to a page and `HEADER_BYTES` is one, so slots are
        // aligned to their 64 bytes. `Slot` is `repr(C)` of `AtomicU64`s without padding: all bytes are valid,
        // and sharing it is sound as all access is atomic. The reference borrows `self`, and with it the mapping.
        unsafe {
            let first = self.memory.as_mut_ptr().add(HEADER_BYTES).cast::<Slot>();
            std::slice::from_raw_parts(first, self.slots)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(bytes: usize) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(bytes as u64).unwrap();
        file
    }

    #[test]
    fn what_is_stored_is_in_the_file() {
        let file = file_of(HEADER_BYTES + 3 * SLOT_BYTES + 1);
        let map = Map::new(&file).unwrap();
        assert_eq!(map.slots().len(), 3, "what is not a whole slot is none");
        map.header().minute.store(11, Ordering::Relaxed);
        map.slots()[2].count.store(12, Ordering::Relaxed);
        drop(map);
        let again = Map::new(&file).unwrap();
        assert_eq!(again.header().minute.load(Ordering::Relaxed), 11);
        assert_eq!(again.slots()[2].count.load(Ordering::Relaxed), 12);
    }

    #[test]
    fn a_file_without_slots_is_refused() {
        for bytes in [0, 1, HEADER_BYTES, HEADER_BYTES + SLOT_BYTES - 1] {
            assert!(Map::new(&file_of(bytes)).is_err(), "{bytes}");
        }
    }
}
