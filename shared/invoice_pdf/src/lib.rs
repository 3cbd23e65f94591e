//! Invoices and credit notes as PDF, for a finance department: A4, PDF/A-2u, text that can be copied. Pure: the same
//! document gives the same bytes. No I/O, no clock, no randomness.

mod amount;
mod canvas;
mod document;
mod font;
mod layout;
mod payment_code;
mod text;
mod write;

#[cfg(test)]
mod tests;

use domain::money::{Currency, MoneyError};

pub use document::{Account, Dates, Document, Kind, Line, Party, Payment, Tax, Totals, Transfer};

/// Why there is no PDF.
#[derive(Debug, thiserror::Error)]
pub enum PdfError {
    /// An amount is not in the currency of the document.
    #[error("an amount is in {found}, the document in {expected}")]
    Currency {
        /// The currency of the document.
        expected: Currency,
        /// That of the first amount that differs.
        found: Currency,
    },
    /// The sum of the taxes cannot be told.
    #[error("the taxes cannot be summed")]
    TaxSum(#[source] MoneyError),
    /// A font of this crate cannot be read. A fault of the build, not of the document.
    #[error("an embedded font cannot be read")]
    Font,
    /// PDF/A cannot be asked for. A fault of the build, not of the document.
    #[error("the PDF profile is refused")]
    Profile,
    /// The PDF would break a limit of its standard.
    #[error("the PDF cannot be written")]
    Write(#[source] Box<krilla::error::KrillaError>),
}

/// The document as the bytes of a PDF.
///
/// Any text is accepted: what the font has no glyph for is shown as U+FFFD. Its script must be Latin, Greek or Cyrillic
/// to be read.
///
/// # Errors
/// When an amount is in another currency than the document, or the taxes leave the range of an amount.
pub fn render(document: &Document) -> Result<Vec<u8>, PdfError> {
    document.check_currency()?;
    let fonts = font::fonts()?;
    let pages = layout::pages(document, fonts)?;
    write::write(document, &pages, fonts)
}
