//! The spool: where requests are counted, and what surrounds that.

use std::cell::Cell;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use uuid::Uuid;

use crate::batch::LabelText;
use crate::boot_dir::BootDir;
use crate::disk;
use crate::edge_id;
use crate::error::{Full, SpoolError};
use crate::key::Key;
use crate::labels::Labels;
use crate::layout::{Head, SLOTS_MAX, STRIPES_MAX};
use crate::pending::Adopted;
use crate::pressure::{BRIM, Pressure};
use crate::seal::{Sealer, minute_of};
use crate::segment::Segment;
use crate::subject::{Label, Subject};

/// Number of a boot's first batch.
const FIRST: u64 = 1;
/// Fewest slots of a stripe with which three quarters differ from a half.
const SLOTS_MIN: u32 = 4;

/// How large a spool may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Bytes of all its files. A start takes its first segment beyond this if it must: it could not ship what
    /// is waiting otherwise.
    pub bytes_max: u64,
    /// Parts of a segment, about one for each thread that counts. Rounded up to a power of two, to 256.
    pub stripes: u32,
    /// Distinct subjects that a stripe holds, 64 bytes each. Rounded up to a power of two, from 4 to 65,536.
    pub slots_per_stripe: u32,
}

/// How a spool is, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Bytes of all files on disk, also of other processes' segments.
    pub bytes_used: u64,
    /// [`SpoolLimits::bytes_max`].
    pub bytes_max: u64,
    /// Batches that this process has to ship: its own, and of predecessors that it adopted.
    pub pending_batches: usize,
    /// Files that could not be read and were set aside, ever; they stay until someone removes them.
    pub damaged_files: usize,
    /// [`Spool::has_room`].
    pub has_room: bool,
}

/// Counts requests so that each is counted once, even if the process is killed at any moment.
///
/// Dropping it does not seal: what was counted is in the files, and whoever opens the spool next ships it.
pub struct Spool {
    pub(crate) path: PathBuf,
    pub(crate) bytes_max: u64,
    pub(crate) dir: Arc<BootDir>,
    /// The segment that is counted in. Whoever counts holds a guard meanwhile; that is how the sealer knows
    /// that it is alone with a segment that it has replaced (see `seal`).
    pub(crate) active: ArcSwap<Segment>,
    pub(crate) pressure: Pressure,
    pub(crate) labels: Mutex<Labels>,
    pub(crate) sealer: Mutex<Sealer>,
    /// Batches of this boot with lower numbers are complete.
    pub(crate) sealed_below: AtomicU64,
    /// Unix minutes; only the sealer sets it.
    pub(crate) watermark: AtomicI64,
    pub(crate) adopted: Mutex<Adopted>,
}

impl Spool {
    /// Opens the spool in `dir`, which is made if need be, for this start of the process.
    ///
    /// `boot_id` must be new, and is best a UUIDv7: predecessors are shipped in the order of their ids.
    /// `new_edge_id` becomes the edge's id if it has none.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Io`]: the directory cannot be used, or the disk has no room for a first segment.
    pub fn open(
        dir: &Path,
        boot_id: Uuid,
        new_edge_id: Uuid,
        limits: SpoolLimits,
        now: Timestamp,
    ) -> Result<Self, SpoolError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(SpoolError::io(dir))?;
        let head = Head {
            stripes: limits.stripes.clamp(1, STRIPES_MAX).next_power_of_two(),
            slots: limits.slots_per_stripe.clamp(SLOTS_MIN, SLOTS_MAX).next_power_of_two(),
            number: FIRST,
            edge_id: edge_id::load(dir, new_edge_id, boot_id)?,
            boot_id,
            minute: minute_of(now),
            total_before: Some(0),
        };
        let boot_dir = BootDir::create(dir, boot_id)?;
        let labels = Labels::create(&boot_dir.labels())?;
        let segment = Segment::create(&boot_dir.segment(FIRST), head)?;
        Ok(Self {
            path: dir.to_owned(),
            bytes_max: limits.bytes_max,
            dir: Arc::new(boot_dir),
            active: ArcSwap::from_pointee(segment),
            pressure: Pressure::default(),
            labels: Mutex::new(labels),
            sealer: Mutex::new(Sealer { minute: head.minute, total: 0 }),
            sealed_below: AtomicU64::new(FIRST),
            watermark: AtomicI64::new(i64::try_from(head.minute).unwrap_or(i64::MAX)),
            adopted: Mutex::default(),
        })
    }

    /// The label for requests of `route` that count for `meter`, a name and the weight of one request.
    ///
    /// The same arguments give the same label. Meant for when routes are loaded, not for each request.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Io`]: it could not be written; [`SpoolError::Labels`]: there are too many.
    pub fn label(&self, route: &str, meter: Option<(&str, u32)>) -> Result<Label, SpoolError> {
        let meter = meter.map(|(name, weight)| (name.to_owned(), weight));
        let text = LabelText { route: route.to_owned(), meter };
        self.labels.lock().unwrap_or_else(PoisonError::into_inner).label(text)
    }

    /// Counts a request. When this returns, the count survives a kill of the process.
    ///
    /// Costs no lock, no allocation (but a thread's first, in `arc-swap`), no system call and no clock.
    ///
    /// # Errors
    ///
    /// [`Full`]: it was not counted; see [`Spool::has_room`].
    #[inline]
    pub fn count(&self, subject: &Subject) -> Result<(), Full> {
        let segment = self.active.load();
        let counted = segment.count(home_stripe(), &Key::of(subject));
        let raise = counted.unwrap_or(BRIM);
        if raise != 0 {
            // Before the guard goes: the sealer resets the pressure when all guards are gone.
            self.pressure.raise(raise);
        }
        counted.map(drop)
    }

    /// Whether a request may be let in: there is a place for its count. One atomic load.
    ///
    /// False when the active segment is more than three quarters full in some stripe and no other could be
    /// made, as the disk or the spool is full; or when it is seven eighths full in all, as nobody seals. The
    /// rest is for the requests that were let in before.
    #[inline]
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.pressure.has_room()
    }

    /// Whether a stripe is more than half full, so that it is better to seal now than at the usual time.
    #[must_use]
    pub fn wants_sealing(&self) -> bool {
        self.pressure.wants_sealing()
    }

    /// The unix minute that is not over yet: every request that is in no sealed batch so far will be in one of
    /// this minute or later.
    ///
    /// Ask for it **before** [`Spool::pending`]: then the list has every batch of earlier minutes.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        self.watermark.load(Ordering::Acquire)
    }

    /// The edge's id, the same over restarts.
    #[must_use]
    pub fn edge_id(&self) -> Uuid {
        self.active.load().head().edge_id
    }

    /// How the spool is. Walks its directories: for metrics, not for requests.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Io`]: a directory cannot be read.
    pub fn health(&self) -> Result<Health, SpoolError> {
        let usage = disk::usage(&self.path)?;
        Ok(Health {
            bytes_used: usage.bytes,
            bytes_max: self.bytes_max,
            pending_batches: self.pending_batches()?,
            damaged_files: usage.damaged_files,
            has_room: self.has_room(),
        })
    }
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The number of the stripe that the calling thread counts in: threads take turns, so that as few as possible
/// write to the same cache lines.
#[inline]
fn home_stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static HOME: Cell<Option<usize>> = const { Cell::new(None) };
    }
    HOME.get().unwrap_or_else(|| {
        // Segments take it modulo their stripes; masked, so that a sum with it cannot overflow.
        let home = NEXT.fetch_add(1, Ordering::Relaxed) & 0xffff;
        HOME.set(Some(home));
        home
    })
}
