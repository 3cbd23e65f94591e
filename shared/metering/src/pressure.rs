//! How full the spool is, as one byte that requests look at before they are let in.

use std::sync::atomic::{AtomicU8, Ordering};

/// Half of a stripe is used: time for another segment.
pub(crate) const WANTED: u8 = 1;
/// Three quarters of a stripe are used.
pub(crate) const CROWDED: u8 = 2;
/// Seven eighths of all stripes are used: the sealer is late.
pub(crate) const BRIM: u8 = 4;
/// The last attempt to make another segment failed.
pub(crate) const STUCK: u8 = 8;

/// Some of the bits above.
#[derive(Debug, Default)]
pub(crate) struct Pressure(AtomicU8);

impl Pressure {
    pub(crate) fn raise(&self, bits: u8) {
        self.0.fetch_or(bits, Ordering::AcqRel);
    }

    /// Takes back what was said of a segment that is active no more.
    ///
    /// Its writers must be gone, or they could raise it anew. What writers of the next segment raised is lost:
    /// look at that segment's fill after this and raise again. (A writer raises after it has added to the fill.)
    pub(crate) fn relieve(&self) {
        self.0.swap(0, Ordering::AcqRel);
    }

    pub(crate) fn wants_sealing(&self) -> bool {
        self.0.load(Ordering::Relaxed) & (WANTED | CROWDED | BRIM) != 0
    }

    /// False when the segment is crowded and there is no other, or when it is nearly full and the sealer does not come.
    pub(crate) fn has_room(&self) -> bool {
        let bits = self.0.load(Ordering::Relaxed);
        bits & (CROWDED | STUCK) != CROWDED | STUCK && bits & BRIM == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_until_crowded_and_stuck_or_full() {
        let all = 0..16_u8;
        let without: Vec<_> = all
            .filter(|bits| {
                let pressure = Pressure::default();
                pressure.raise(*bits);
                !pressure.has_room()
            })
            .collect();
        let brim = [4, 5, 6, 7, 10, 11, 12, 13, 14, 15];
        assert_eq!(without, brim, "BRIM is 4, CROWDED | STUCK is 10");
    }
}
