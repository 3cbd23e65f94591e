//! Sealing: what was counted becomes a batch, and counting goes on in the next segment.
//!
//! Requests are not stopped for it. The next segment takes the active one's place in one swap; whoever was
//! counting at that moment holds a guard, which is a share of the old segment's `Arc`. When the `Arc` can be
//! taken apart, nobody has a share any more and the sums are final: that is not a protocol between the two
//! sides, it is ownership.
//!
//! What a kill leaves, whenever it comes, is a number of segments that can be told apart by their numbers, each
//! with all of its counts. So there is nothing to undo and nothing to redo.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use crate::batch::Batch;
use crate::disk;
use crate::error::{Damage, SpoolError};
use crate::layout::Head;
use crate::pressure::STUCK;
use crate::segment::Segment;
use crate::spool::Spool;
use crate::stored;
use crate::tally::Tally;

/// Turns that the sealer gives to others before it sleeps.
const YIELDS: u32 = 100;
/// Sleep between two looks for whether a segment's last writer is gone.
const NAP: Duration = Duration::from_micros(50);

/// What only the sealer needs to know of the active segment. Its lock makes it one sealer at a time.
#[derive(Debug)]
pub(crate) struct Sealer {
    /// Unix minutes.
    pub(crate) minute: u64,
    /// Requests of this boot before it.
    pub(crate) total: u64,
}

impl Spool {
    /// Seals what was counted so far, and returns the batch's number; `None` if nothing was.
    ///
    /// What is counted after this belongs to the minute of `now`, or to the last one if the clock was set back.
    /// Blocks for some ten milliseconds, and as long as the disk does; requests are counted meanwhile.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Bound`], [`SpoolError::Io`]: there is no next segment. Nothing has changed, and counting
    /// goes on in the active one: see [`Spool::has_room`].
    pub fn seal(&self, now: Timestamp) -> Result<Option<u64>, SpoolError> {
        let mut sealer = self.sealer.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = sealer.minute.max(minute_of(now));
        let active = self.active.load();
        if active.is_unused() {
            // A request that is being counted right now moves on with it: it has just come.
            active.set_minute(minute);
            sealer.minute = minute;
            self.advance_watermark(minute);
            return Ok(None);
        }
        let head =
            Head { minute: sealer.minute, total_before: Some(sealer.total), ..active.head() };
        drop(active);
        let next = Head { number: head.number + 1, minute, total_before: None, ..head };
        let next = self.next_segment(next).inspect_err(|_| self.pressure.raise(STUCK))?;

        let next = Arc::new(next);
        let sealed = alone_with(self.active.swap(Arc::clone(&next)));
        // In this order: what the next segment's writers raised before is lost, but not what they filled.
        self.pressure.relieve();
        self.pressure.raise(next.fill());

        let tally = Tally::of(sealed.records());
        // Damage in memory cannot be: if it is, whoever reads the segment finds it too, and sets it aside.
        let requests = tally.as_ref().map_or(0, |tally| tally.requests);
        sealer.total = sealer.total.saturating_add(requests);
        sealer.minute = minute;
        next.set_total_before(sealer.total);
        drop(sealed);
        if let Err(error) = tally
            .and_then(|tally| self.batch_of(&head, &tally))
            .map_err(|Damage| SpoolError::Damaged { path: self.dir.segment(head.number) })
            .and_then(|batch| stored::compact(&self.dir, &batch))
        {
            tracing::warn!(batch.number = head.number, %error, "a batch stays as large as it is");
        }
        self.sealed_below.store(head.number + 1, Ordering::Release);
        self.advance_watermark(minute);
        Ok(Some(head.number))
    }

    fn next_segment(&self, head: Head) -> Result<Segment, SpoolError> {
        let bytes_used = disk::usage(&self.path)?.bytes;
        if bytes_used.saturating_add(head.file_bytes()) > self.bytes_max {
            return Err(SpoolError::Bound { bytes_used, bytes_max: self.bytes_max });
        }
        Segment::create(&self.dir.segment(head.number), head)
    }

    fn batch_of(&self, head: &Head, tally: &Tally) -> Result<Batch, Damage> {
        let labels = self.labels.lock().unwrap_or_else(PoisonError::into_inner);
        let total_before = head.total_before.unwrap_or_default();
        Batch::of_segment(head, total_before, tally, |number| labels.text(number).cloned())
    }

    /// Last of all: who has read it finds every batch of earlier minutes.
    fn advance_watermark(&self, minute: u64) {
        self.watermark.store(i64::try_from(minute).unwrap_or(i64::MAX), Ordering::Release);
    }
}

/// Waits until nobody counts in a segment that is active no more: nanoseconds, unless a thread was interrupted
/// in the middle of a count.
///
/// Who is alone with it could as well free it, so every use by others has happened before: that is `Arc`'s and
/// `arc-swap`'s promise, and what makes the sums final.
fn alone_with(mut segment: Arc<Segment>) -> Segment {
    let mut turn = 0_u32;
    loop {
        segment = match Arc::try_unwrap(segment) {
            Ok(alone) => return alone,
            Err(shared) => shared,
        };
        if turn < YIELDS {
            thread::yield_now();
        } else {
            thread::sleep(NAP);
        }
        turn = turn.saturating_add(1);
    }
}

/// Unix minutes; 0 before 1970.
pub(crate) fn minute_of(now: Timestamp) -> u64 {
    u64::try_from(now.as_second() / 60).unwrap_or_default()
}
