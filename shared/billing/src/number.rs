//! Numbers of invoices and credit notes: `INV-2026-000042`, without holes in each series and year (§2.11).

use std::fmt;

/// The number of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentNumber {
    /// What the series is called.
    pub prefix: String,
    /// The year of issue, in the issuer's time zone.
    pub year: i16,
    /// Which of that year, from 1.
    pub sequence: u32,
}

impl fmt::Display for DocumentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:04}-{:06}", self.prefix, self.year, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_padded_and_outgrows_its_padding() {
        let number = |sequence| DocumentNumber { prefix: "INV".to_owned(), year: 2026, sequence };
        assert_eq!(number(42).to_string(), "INV-2026-000042");
        assert_eq!(number(1_234_567).to_string(), "INV-2026-1234567");
    }
}
