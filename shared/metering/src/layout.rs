//! Where things are in a segment file: a header of one page, then slots of one cache line each.
//!
//! Words are in the machine's own byte order, as a mapped file must be; the magic number reads differently on
//! a machine of the other order. What changes while requests are counted is only ever touched as an atomic.

use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use crate::error::Damage;
use crate::key::{KEY_WORDS, Key};

/// Bytes before the first slot: a page, so that slots are aligned whatever the header grows to.
pub(crate) const HEADER_BYTES: usize = 4096;
/// Bytes of a slot: a cache line, so that two threads never share one by accident.
pub(crate) const SLOT_BYTES: usize = 64;
/// Stripes of a segment at most.
pub(crate) const STRIPES_MAX: u32 = 256;
/// Slots of a stripe at most; with [`STRIPES_MAX`] a segment of 1 GiB.
pub(crate) const SLOTS_MAX: u32 = 65_536;
/// Tag of a slot that nobody has used.
pub(crate) const EMPTY: u64 = 0;
/// Tag of a slot whose key is being written, or was when the process was killed.
pub(crate) const CLAIMED: u64 = 1;

const MAGIC: u64 = u64::from_be_bytes(*b"PyTakeMS");
const VERSION: u64 = 1;
/// Words that are written once, with their checksum as the last.
const FIXED_WORDS: usize = 10;
const HEADER_WORDS: usize = FIXED_WORDS + 2;
/// Where `total_before` is in the file.
pub(crate) const TOTAL_BEFORE_OFFSET: u64 = (FIXED_WORDS as u64 + 1) * 8;
/// In place of a running total: the batch before is not summed up yet.
const UNKNOWN: u64 = u64::MAX;

/// The header as it is mapped.
#[repr(C)]
pub(crate) struct Header {
    fixed: [AtomicU64; FIXED_WORDS],
    /// Unix minutes: when the segment's requests were.
    pub(crate) minute: AtomicU64,
    /// Requests of this boot before this segment.
    pub(crate) total_before: AtomicU64,
}

/// One number, and what it is a number of.
#[repr(C, align(64))]
pub(crate) struct Slot {
    /// [`EMPTY`], [`CLAIMED`], or the key's tag: then the key is complete.
    pub(crate) tag: AtomicU64,
    key: [AtomicU64; KEY_WORDS],
    /// Requests.
    pub(crate) count: AtomicU64,
    /// Nobody's; always 0.
    pub(crate) spare: AtomicU64,
}

const _: () =
    assert!(size_of::<Header>() == HEADER_WORDS * 8 && size_of::<Header>() <= HEADER_BYTES);
const _: () = assert!(size_of::<Slot>() == SLOT_BYTES);

impl Slot {
    /// Makes a claimed slot the key's. Who sees the tag sees the whole key.
    pub(crate) fn publish(&self, key: &Key, tag: u64) {
        for (word, value) in self.key.iter().zip(key.0) {
            word.store(value, Ordering::Relaxed);
        }
        self.tag.store(tag, Ordering::Release);
    }

    /// Whether the slot is the key's; its tag must have been seen.
    #[inline]
    pub(crate) fn holds(&self, key: &Key) -> bool {
        self.key.iter().zip(key.0).all(|(word, value)| word.load(Ordering::Relaxed) == value)
    }

    /// What is in it, for reading.
    pub(crate) fn record(&self) -> Record {
        Record {
            tag: self.tag.load(Ordering::Acquire),
            key: Key(std::array::from_fn(|word| self.key[word].load(Ordering::Relaxed))),
            count: self.count.load(Ordering::Acquire),
        }
    }
}

/// A slot that was read, from memory or from a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) tag: u64,
    pub(crate) key: Key,
    pub(crate) count: u64,
}

/// All slots of a segment file's bytes.
pub(crate) fn records(file: &[u8]) -> impl Iterator<Item = Record> {
    let (slots, _) = file.get(HEADER_BYTES..).unwrap_or_default().as_chunks::<SLOT_BYTES>();
    slots.iter().map(|slot| {
        let [tag, a, b, c, d, e, count, _spare] = words(slot);
        Record { tag, key: Key([a, b, c, d, e]), count }
    })
}

/// What a segment's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// A power of two, to [`STRIPES_MAX`].
    pub(crate) stripes: u32,
    /// Per stripe: a power of two, to [`SLOTS_MAX`].
    pub(crate) slots: u32,
    pub(crate) number: u64,
    pub(crate) edge_id: Uuid,
    pub(crate) boot_id: Uuid,
    /// Unix minutes.
    pub(crate) minute: u64,
    /// `None`: not known yet.
    pub(crate) total_before: Option<u64>,
}

impl Head {
    /// Bytes of the segment file.
    pub(crate) fn file_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.stripes) * u64::from(self.slots) * SLOT_BYTES as u64
    }

    /// The header page's first bytes; the rest of the page is zero.
    pub(crate) fn encode(&self) -> [u8; HEADER_WORDS * 8] {
        let (edge, boot) = (self.edge_id.as_u64_pair(), self.boot_id.as_u64_pair());
        let (stripes, slots) = (u64::from(self.stripes), u64::from(self.slots));
        let mut fixed =
            [MAGIC, VERSION, stripes, slots, self.number, edge.0, edge.1, boot.0, boot.1, 0];
        fixed[FIXED_WORDS - 1] = checksum(&fixed);
        let live = [self.minute, self.total_before.unwrap_or(UNKNOWN)];
        let mut bytes = [0; HEADER_WORDS * 8];
        let (places, _) = bytes.as_chunks_mut::<8>();
        for (place, word) in places.iter_mut().zip(fixed.into_iter().chain(live)) {
            *place = word.to_ne_bytes();
        }
        bytes
    }

    /// Reads the header of a whole file; its length must be what the header says.
    pub(crate) fn decode(file: &[u8]) -> Result<Self, Damage> {
        let header = file.first_chunk::<{ HEADER_WORDS * 8 }>().ok_or(Damage)?;
        let [magic, version, stripes, slots, number, e0, e1, b0, b1, check, minute, total] =
            words(header);
        let fixed = [magic, version, stripes, slots, number, e0, e1, b0, b1, 0];
        if magic != MAGIC || version != VERSION || check != checksum(&fixed) {
            return Err(Damage);
        }
        let head = Self {
            stripes: size(stripes, STRIPES_MAX)?,
            slots: size(slots, SLOTS_MAX)?,
            number,
            edge_id: Uuid::from_u64_pair(e0, e1),
            boot_id: Uuid::from_u64_pair(b0, b1),
            minute,
            total_before: (total != UNKNOWN).then_some(total),
        };
        if file.len() as u64 == head.file_bytes() { Ok(head) } else { Err(Damage) }
    }
}

fn size(word: u64, max: u32) -> Result<u32, Damage> {
    let size = u32::try_from(word).map_err(|_| Damage)?;
    if size.is_power_of_two() && size <= max { Ok(size) } else { Err(Damage) }
}

/// Of the fixed words before it; minute and total change under way and cannot be covered.
fn checksum(fixed: &[u64; FIXED_WORDS]) -> u64 {
    let mut crc = crc32fast::Hasher::new();
    for word in &fixed[..FIXED_WORDS - 1] {
        crc.update(&word.to_ne_bytes());
    }
    u64::from(crc.finalize())
}

/// `W` words from `8 × W` bytes.
fn words<const W: usize>(bytes: &[u8]) -> [u64; W] {
    let (chunks, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|word| chunks.get(word).map_or(0, |chunk| u64::from_ne_bytes(*chunk)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head = Head {
        stripes: 2,
        slots: 4,
        number: 7,
        edge_id: Uuid::from_u128(1),
        boot_id: Uuid::from_u128(2),
        minute: 29_000_000,
        total_before: None,
    };

    fn file(head: &Head) -> Vec<u8> {
        let mut bytes = head.encode().to_vec();
        bytes.resize(usize::try_from(head.file_bytes()).unwrap(), 0);
        bytes
    }

    #[test]
    fn a_header_comes_back() {
        let known = Head { total_before: Some(5), ..HEAD };
        for head in [HEAD, known] {
            assert_eq!(Head::decode(&file(&head)), Ok(head));
        }
    }

    #[test]
    fn any_byte_changed_in_the_fixed_part_is_damage() {
        for byte in 0..FIXED_WORDS * 8 {
            let mut bytes = file(&HEAD);
            bytes[byte] ^= 0x10;
            assert_eq!(Head::decode(&bytes), Err(Damage), "byte {byte}");
        }
    }

    #[test]
    fn another_length_is_damage() {
        let bytes = file(&HEAD);
        for length in [0, 1, 95, 96, HEADER_BYTES, bytes.len() - 1] {
            assert_eq!(Head::decode(&bytes[..length]), Err(Damage), "{length} bytes");
        }
        assert_eq!(Head::decode(&[bytes, vec![0]].concat()), Err(Damage));
    }
}
