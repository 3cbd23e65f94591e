//! Files of 32-byte keys in hexadecimal, one a line, oldest first.

use std::path::PathBuf;

use domain::secret::Secret;
use serde::Deserialize;

/// Bytes of one key.
pub const KEY_BYTES: usize = 32;

/// A file that holds keys. The last line is the current key; earlier ones are still accepted.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct KeyFile(PathBuf);

/// A key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Not there, or not readable.
    #[error("cannot read the key file {}: {source}; `deploy/up` makes one for local use", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not lines of 64 hexadecimal characters.
    #[error("the key file {} must hold 64 hexadecimal characters a line, at least one line", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Others than the owner may read it.
    #[error("the key file {} must not be readable by others; run `chmod 600` on it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
}

impl KeyFile {
    /// The keys, oldest first, at least one; the last is the one to use for new values.
    ///
    /// # Errors
    /// When the file is missing, malformed, or readable by others than its owner.
    pub fn read(&self) -> Result<Vec<Secret<[u8; KEY_BYTES]>>, KeyFileError> {
        let path = &self.0;
        let unreadable = |source| KeyFileError::Unreadable { path: path.clone(), source };
        let malformed = || KeyFileError::Malformed { path: path.clone() };
        let text = Secret::new(std::fs::read_to_string(path).map_err(unreadable)?);
        self.refuse_exposed()?;
        let keys = text
            .expose()
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(|line| decode(line).map(Secret::new).ok_or_else(malformed))
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(malformed()) } else { Ok(keys) }
    }

    #[cfg(unix)]
    fn refuse_exposed(&self) -> Result<(), KeyFileError> {
        use std::os::unix::fs::PermissionsExt;
        let unreadable = |source| KeyFileError::Unreadable { path: self.0.clone(), source };
        let mode = std::fs::metadata(&self.0).map_err(unreadable)?.permissions().mode();
        // The group may read: that is how several services of one host share a file.
        if mode & 0o007 == 0 { Ok(()) } else { Err(KeyFileError::Exposed { path: self.0.clone() }) }
    }
}

fn decode(line: &str) -> Option<[u8; KEY_BYTES]> {
    if line.len() != 2 * KEY_BYTES || !line.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = [0; KEY_BYTES];
    for (slot, pair) in key.iter_mut().zip(line.as_bytes().chunks_exact(2)) {
        *slot = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_keys_decode() {
        assert_eq!(decode(&"0f".repeat(32)), Some([15; 32]));
        for bad in ["", "0f", &"0g".repeat(32), &"é".repeat(32), &"+f".repeat(32)] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
