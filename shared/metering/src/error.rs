//! What can go wrong with a spool, by what a caller would do about it.

use std::io;
use std::path::{Path, PathBuf};

/// A spool could not do what it was asked. Counts that were made are not lost by any of these.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The file system refused; a full disk comes as this.
    #[error("the spool cannot use {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another segment would take more disk than the spool may.
    #[error("the spool holds {bytes_used} bytes and may hold {bytes_max}")]
    Bound {
        /// Bytes of all files of the spool now.
        bytes_used: u64,
        /// [`SpoolLimits::bytes_max`](crate::SpoolLimits::bytes_max).
        bytes_max: u64,
    },
    /// More than [`LABELS_MAX`](crate::LABELS_MAX) labels were asked for.
    #[error("the spool has all the labels that it can number")]
    Labels,
    /// The file is not what was written; it was set aside under this name.
    #[error("a batch is damaged, see {}", path.display())]
    Damaged {
        /// Where the file is kept for whoever wants to look at it.
        path: PathBuf,
    },
    /// A predecessor's directory still has batches that were not forgotten.
    #[error("{batches} batches were not shipped")]
    Unshipped {
        /// How many.
        batches: usize,
    },
}

impl SpoolError {
    /// For `map_err`: the error of an operation on `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { path: path.to_owned(), source }
    }
}

/// Not one slot of the active segment is free: the request was **not** counted.
///
/// Who asks [`Spool::has_room`](crate::Spool::has_room) before letting requests in does not see this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the active segment is full")]
pub struct Full;

/// Bytes that are not what was written. Private: outside it is [`SpoolError::Damaged`], with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damage;
