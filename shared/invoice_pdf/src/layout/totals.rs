//! What it comes to: the taxes at the left, the sums at the right, on one page.

use domain::money::Money;

use super::grid::{Column, Content, Grid};
use super::{BODY, GUTTER, INSET, RIGHT_COLUMN, STRONG, SUM};
use crate::PdfError;
use crate::amount;
use crate::canvas::{self, BAND, Canvas, Cursor, LEFT, RIGHT, RULE, Strip};
use crate::document::{Document, Kind, Tax, Totals};
use crate::font::Fonts;
use crate::text::Style;

/// The height of a sum.
const ROW: f32 = 16.0;
/// The height of the total.
const TOTAL_ROW: f32 = 21.0;
/// The height of what matters in the end.
const LAST_ROW: f32 = 25.0;
/// The least width of the names of the taxes.
const TAX_MIN: f32 = 80.0;
/// Where the values may begin, right of their labels.
const VALUE: f32 = 76.0;

/// Draws the sums and the taxes.
pub(super) fn place(
    canvas: &mut Canvas,
    at: &mut Cursor,
    document: &Document,
    fonts: &Fonts,
) -> Result<(), PdfError> {
    let taxes = taxes(&document.totals.taxes, fonts);
    let sums = sums(document, fonts)?;
    canvas.place(at, Strip::gap(14.0));
    canvas.keep(at, canvas::height(&taxes).max(canvas::height(&sums)));
    canvas.place_columns(at, taxes, sums);
    Ok(())
}

fn sums(document: &Document, fonts: &Fonts) -> Result<Vec<Strip>, PdfError> {
    let Totals { subtotal, discount, total, credit_applied, paid, amount_due, .. } =
        document.totals;
    let tax = document.totals.tax().map_err(PdfError::TaxSum)?;
    let total_label = match document.kind {
        Kind::Invoice => "Total",
        Kind::CreditNote { .. } => "Total credit",
    };
    let plain = |label, amount: Option<Money>| {
        amount.map(|amount| sum(fonts, label, &amount::plain(amount), (BODY, BODY), ROW))
    };
    let named = |label, amount, style, height| {
        sum(fonts, label, &amount::named(amount), (style, style), height)
    };
    // The last word, on a coloured ground.
    let last = |label, amount| named(label, amount, SUM, LAST_ROW).on(RIGHT_COLUMN, RIGHT, BAND);
    let mut strips = Vec::new();
    strips.extend(plain("Subtotal", Some(subtotal)));
    strips.extend(plain("Discounts", discount));
    strips.extend(plain("Tax", tax));
    strips.push(Strip::gap(3.0));
    if amount_due.is_some() {
        strips.push(Strip::rule(RIGHT_COLUMN, RIGHT, RULE));
        strips.push(named(total_label, total, STRONG, TOTAL_ROW));
    } else {
        strips.push(last(total_label, total));
    }
    strips.extend(plain("Credit applied", credit_applied));
    strips.extend(plain("Paid", paid));
    if let Some(due) = amount_due {
        strips.extend([Strip::gap(3.0), last("Amount due", due)]);
    }
    Ok(strips)
}

/// A label and an amount, which is never broken.
fn sum(
    fonts: &Fonts,
    label: &str,
    amount: &str,
    (label_style, style): (Style, Style),
    leading: f32,
) -> Strip {
    let left = RIGHT_COLUMN + INSET;
    let right = RIGHT - INSET;
    let style = Style { leading, ..style }.fitting(fonts, amount, right - left - VALUE);
    Strip::at_left(label.to_owned(), Style { leading, ..label_style }, left).with_right(
        fonts,
        amount.to_owned(),
        style,
        right,
    )
}

fn taxes(taxes: &[Tax], fonts: &Fonts) -> Vec<Strip> {
    if taxes.is_empty() {
        return Vec::new();
    }
    let column = |title: &str, amount: fn(&Tax) -> Money| Column {
        title: title.to_owned(),
        cells: taxes.iter().map(|tax| amount::plain(amount(tax))).collect(),
        content: Content::Amounts,
    };
    let columns =
        vec![column("Taxable amount", |tax| tax.base), column("Tax amount", |tax| tax.tax)];
    let grid = Grid::new(fonts, (LEFT, RIGHT_COLUMN - GUTTER), ("Tax", TAX_MIN), columns);
    let mut strips = vec![grid.heading()];
    for (index, tax) in taxes.iter().enumerate() {
        let label = BODY.wrap(fonts, &tax.label, grid.first_width());
        strips.extend(grid.row(index, label.into_iter().map(|line| (line, BODY)).collect()));
    }
    strips
}
