//! Statements of banks, as they come: ISO 20022 camt.053 (a day of an account) and camt.054 (single entries, sooner).
//! Pure: bytes in, [`Statement`]s out, or why not.

mod camt;
mod element;
mod entries;
#[cfg(test)]
mod tests;

use domain::bank::Statement;
use domain::money::Money;

/// Largest file that is read.
pub const BYTES_MAX: usize = 10 * 1024 * 1024;

/// Why a file is not taken. All of it is refused then: half a statement is worse than none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Larger than [`BYTES_MAX`].
    #[error("it has more than {BYTES_MAX} bytes")]
    TooLarge,
    /// Other characters than those of UTF-8.
    #[error("it is not encoded in UTF-8")]
    Encoding,
    /// No XML, or XML that defines entities.
    #[error("it is no XML that is accepted: {0}")]
    Xml(String),
    /// Another kind of document.
    #[error(
        "it is neither a camt.053 statement nor a camt.054 notification, of version 2 or later"
    )]
    OtherDocument,
    /// Something that must be there is not, or cannot be read.
    #[error("{at}: {what} is missing or cannot be read")]
    Malformed {
        /// Which statement and entry.
        at: String,
        /// Which of its elements.
        what: &'static str,
    },
    /// Opening balance and entries do not make the closing balance.
    #[error(
        "statement {statement}: {opening} and the {moved} of its entries do not make {closing}; ask the bank for it anew"
    )]
    Unbalanced {
        /// Which.
        statement: String,
        /// The balance before.
        opening: Money,
        /// What its entries add up to.
        moved: Money,
        /// The balance after.
        closing: Money,
    },
}

/// Reads a file.
///
/// # Errors
/// When it is none of a bank's statements, or one that contradicts itself.
pub fn parse(bytes: &[u8]) -> Result<Vec<Statement>, StatementError> {
    camt::parse(bytes)
}
