//! Frames of bytes in a file: length, checksum, bytes. A frame that is cut off at the end ends the file, as a
//! kill may leave it; any other fault makes the whole file unusable.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use super::LocalError;

/// Longer than any frame that is written; a length beyond it is no length.
const FRAME_MAX: u32 = 256 << 20;
const BUFFER_BYTES: usize = 1 << 20;
/// Length and checksum.
const HEAD_BYTES: u64 = 8;

/// The frames of a file, one after another.
pub(super) struct Frames {
    reader: BufReader<File>,
    /// Where the next frame starts, and where the file ends.
    position: u64,
    len: u64,
    bytes: Vec<u8>,
}

impl Frames {
    /// Opens the file at `path`, which starts with `form`.
    pub(super) fn open(path: &Path, form: &[u8]) -> Result<Self, LocalError> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
        let mut start = vec![0; form.len()];
        reader.read_exact(&mut start).map_err(|_| LocalError::Damaged)?;
        if start != form {
            return Err(LocalError::Damaged);
        }
        Ok(Self { reader, position: form.len() as u64, len, bytes: Vec::new() })
    }

    /// Where the next frame starts.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// The next frame's bytes; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, LocalError> {
        let left = self.len - self.position;
        if left < HEAD_BYTES {
            return Ok(None);
        }
        let (len, checksum) = (self.word()?, self.word()?);
        if len > FRAME_MAX {
            return Err(LocalError::Damaged);
        }
        if u64::from(len) > left - HEAD_BYTES {
            return Ok(None);
        }
        self.bytes.resize(len as usize, 0);
        self.reader.read_exact(&mut self.bytes)?;
        if crc32fast::hash(&self.bytes) != checksum {
            return Err(LocalError::Damaged);
        }
        self.position += HEAD_BYTES + u64::from(len);
        Ok(Some(&self.bytes))
    }

    fn word(&mut self) -> Result<u32, LocalError> {
        let mut word = [0; 4];
        self.reader.read_exact(&mut word)?;
        Ok(u32::from_le_bytes(word))
    }
}

/// `bytes` as a frame.
pub(super) fn frame(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let len = u32::try_from(bytes.len()).ok().filter(|len| *len <= FRAME_MAX);
    let len = len.ok_or_else(|| io::Error::other("a record is too long"))?;
    let mut frame = Vec::with_capacity(bytes.len() + 8);
    frame.extend_from_slice(&len.to_le_bytes());
    frame.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    frame.extend_from_slice(bytes);
    Ok(frame)
}
