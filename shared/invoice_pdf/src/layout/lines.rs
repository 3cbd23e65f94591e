//! The table of what is charged. Its heading is repeated on each page.

use domain::money::Money;

use super::grid::{Column, Content, Grid};
use super::{BODY, SMALL};
use crate::amount;
use crate::canvas::{self, Canvas, Cursor, LEFT, RIGHT};
use crate::document::{Document, Line};
use crate::font::Fonts;
use crate::text::Style;

/// The least width of the descriptions.
const DESCRIPTION_MIN: f32 = 160.0;

/// Draws the table, when there are lines.
pub(super) fn place(canvas: &mut Canvas, at: &mut Cursor, document: &Document, fonts: &Fonts) {
    if document.lines.is_empty() {
        return;
    }
    let grid = Grid::new(fonts, (LEFT, RIGHT), ("Description", DESCRIPTION_MIN), columns(document));
    let mut heading = Some(grid.heading());
    for (index, line) in document.lines.iter().enumerate() {
        let row = grid.row(index, description(line, fonts, grid.first_width()));
        if let Some(heading) = heading.take() {
            // Not alone at the foot of a page.
            canvas.keep(at, heading.height + canvas::height(&row));
            canvas.place(at, heading.clone());
            canvas.heading = Some(heading);
        }
        canvas.place_together(at, row);
    }
    canvas.heading = None;
}

/// The columns that have something in them.
fn columns(document: &Document) -> Vec<Column> {
    let text = |title: &str, cell: fn(&Line) -> String| Column {
        title: title.to_owned(),
        cells: document.lines.iter().map(cell).collect(),
        content: Content::Text,
    };
    let amounts = |title: String, amount: fn(&Line) -> Option<Money>| Column {
        title,
        cells: document
            .lines
            .iter()
            .map(|line| amount(line).map(amount::plain).unwrap_or_default())
            .collect(),
        content: Content::Amounts,
    };
    let net = format!("Net ({})", document.currency);
    let columns = [
        text("Quantity", |line| format!("{} {}", line.quantity, line.unit).trim().to_owned()),
        text("Unit price", |line| line.unit_price.clone()),
        amounts("Discount".to_owned(), |line| line.discount),
        text("Tax", |line| line.tax.clone()),
        amounts(net, |line| Some(line.net)),
    ];
    columns.into_iter().filter(|column| column.cells.iter().any(|cell| !cell.is_empty())).collect()
}

fn description(line: &Line, fonts: &Fonts, width: f32) -> Vec<(String, Style)> {
    let period = line.period.map(amount::dates);
    let texts = [
        (Some(line.description.as_str()), BODY),
        (period.as_deref(), SMALL),
        (line.detail.as_deref(), SMALL),
    ];
    let set = |(text, style): (Option<&str>, Style)| {
        let lines = style.wrap(fonts, text.unwrap_or_default(), width);
        lines.into_iter().map(move |line| (line, style)).collect::<Vec<_>>()
    };
    texts.into_iter().flat_map(set).collect()
}
