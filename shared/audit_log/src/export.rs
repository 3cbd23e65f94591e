//! A trail as lines of JSON, which anybody can verify without this installation: each event in its place, each head after
//! the last event that it is of.

use std::io::BufRead;

use domain::id::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::head::{HeadKey, SignedHead};
use crate::tree::Hash;
use crate::verifier::{Fault, Report, Verifier};

/// A line of an export.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// An event, byte for byte as it is hashed.
    Event(Box<RawValue>),
    /// A head.
    Head(SignedHead),
}

/// Why an export does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It cannot be read.
    #[error("line {line} cannot be read: {error}")]
    Unreadable {
        /// Which line, from 1.
        line: u64,
        /// Why.
        error: std::io::Error,
    },
    /// It is not what it was.
    #[error("{0}")]
    Fault(#[from] Fault),
}

/// Verifies an export of a tenant's trail. `remembered`: size and root of a head that was kept elsewhere.
///
/// # Errors
/// When it cannot be read, or is not what was signed.
pub fn verify_export(
    lines: impl BufRead,
    tenant_id: TenantId,
    keys: Vec<HeadKey>,
    remembered: Option<(u64, Hash)>,
) -> Result<Report, ExportError> {
    let mut verifier = Verifier::new(tenant_id, keys, remembered);
    for (place, line) in (1..).zip(lines.lines()) {
        let unreadable = |error| ExportError::Unreadable { line: place, error };
        let text = line.map_err(unreadable)?;
        match serde_json::from_str(&text).map_err(|error| unreadable(error.into()))? {
            Line::Event(event) => verifier.event(event.get())?,
            Line::Head(head) => verifier.head(&head)?,
        }
    }
    Ok(verifier.finish()?)
}

#[cfg(test)]
mod tests;
