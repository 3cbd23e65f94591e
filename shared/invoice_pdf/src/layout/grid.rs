//! A table: a first column of text, then columns of numbers that end at their right edge. The numbers get the room that
//! they need, the text the rest.

use super::{BODY, INSET, LABEL};
use crate::canvas::{BAND, Item, RULE, Strip};
use crate::font::Fonts;
use crate::text::Style;

/// The room between two columns.
const BETWEEN: f32 = 15.0;
/// The widest that a column of free text becomes before it is broken into lines.
const TEXT_MAX: f32 = 84.0;
/// The room above and below the text of a row.
const PADDING: f32 = 4.5;
/// The height of the heading.
const HEADING: f32 = 20.0;

/// A column of numbers.
pub(super) struct Column {
    pub(super) title: String,
    /// One a row.
    pub(super) cells: Vec<String>,
    /// What is in it.
    pub(super) content: Content,
}

/// What a column has in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Amounts: one line each, smaller when there is no room.
    Amounts,
    /// Text: in lines.
    Text,
}

/// A table whose widths are known.
pub(super) struct Grid<'a> {
    fonts: &'a Fonts,
    left: f32,
    right: f32,
    first_title: &'static str,
    first_width: f32,
    columns: Vec<Placed>,
}

struct Placed {
    column: Column,
    right: f32,
    width: f32,
}

impl Column {
    fn natural_width(&self, fonts: &Fonts) -> f32 {
        let cells = self.cells.iter().map(|cell| BODY.width(fonts, cell)).fold(0.0, f32::max);
        let cells = if self.content == Content::Text { cells.min(TEXT_MAX) } else { cells };
        cells.max(LABEL.width(fonts, &self.title))
    }
}

/// The widest that a column may be so that all have room: the narrow ones keep what they need.
fn fair_width(mut widths: Vec<f32>, mut room: f32) -> f32 {
    widths.sort_by(f32::total_cmp);
    let mut count = widths.len();
    for width in widths {
        let share = room / count as f32;
        if width > share {
            return share;
        }
        room -= width;
        count -= 1;
    }
    f32::INFINITY
}

impl<'a> Grid<'a> {
    /// A table from `left` to `right`, whose first column is at least `first_min` wide.
    pub(super) fn new(
        fonts: &'a Fonts,
        (left, right): (f32, f32),
        (first_title, first_min): (&'static str, f32),
        columns: Vec<Column>,
    ) -> Self {
        let widths: Vec<f32> = columns.iter().map(|column| column.natural_width(fonts)).collect();
        let between: f32 = columns.iter().map(|_| BETWEEN).sum();
        let room = right - left - 2.0 * INSET - between;
        let widest = fair_width(widths.clone(), room - first_min);
        let widths: Vec<f32> = widths.into_iter().map(|width| width.min(widest)).collect();
        let first_width = room - widths.iter().sum::<f32>();
        let mut edge = right - INSET;
        let mut placed = Vec::with_capacity(columns.len());
        for (column, width) in columns.into_iter().zip(widths).rev() {
            placed.push(Placed { column, right: edge, width });
            edge -= width + BETWEEN;
        }
        placed.reverse();
        Self { fonts, left, right, first_title, first_width, columns: placed }
    }

    /// The width of the first column.
    pub(super) const fn first_width(&self) -> f32 {
        self.first_width
    }

    /// The titles of the columns.
    pub(super) fn heading(&self) -> Strip {
        let style = Style { leading: HEADING, ..LABEL };
        let x = self.left + INSET;
        let mut strip = Strip::at_left(self.first_title.to_owned(), style, x);
        for Placed { column, right, width } in &self.columns {
            let style = style.fitting(self.fonts, &column.title, *width);
            strip = strip.with_right(self.fonts, column.title.clone(), style, *right);
        }
        strip.on(self.left, self.right, BAND)
    }

    /// A row, with the lines of its first column, and a hairline below.
    pub(super) fn row(&self, row: usize, first: Vec<(String, Style)>) -> Vec<Strip> {
        let mut strips = vec![Strip::gap(PADDING)];
        let cells: Vec<_> = self.columns.iter().map(|placed| self.cell(placed, row)).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or_default().max(first.len());
        let mut first = first.into_iter();
        for line in 0..height {
            let mut strip = match first.next() {
                Some((text, style)) => Strip::at_left(text, style, self.left + INSET),
                None => Strip::gap(BODY.leading),
            };
            for (Placed { right, .. }, cell) in self.columns.iter().zip(&cells) {
                if let Some((text, style)) = cell.get(line) {
                    strip = strip.with_right(self.fonts, text.clone(), *style, *right);
                }
            }
            strips.push(strip);
        }
        let mut end = Strip::rule(self.left, self.right, RULE);
        end.items = end.items.into_iter().map(|item: Item| item.moved_down(PADDING)).collect();
        strips.push(Strip { height: end.height + PADDING, ..end });
        strips
    }

    fn cell(&self, placed: &Placed, row: usize) -> Vec<(String, Style)> {
        let Some(text) = placed.column.cells.get(row) else { return Vec::new() };
        match placed.column.content {
            Content::Amounts => {
                vec![(text.clone(), BODY.fitting(self.fonts, text, placed.width))]
            }
            Content::Text => {
                // Rounding must not break what was measured to fit.
                let lines = BODY.wrap(self.fonts, text, placed.width + 0.1);
                lines.into_iter().map(|line| (line, BODY)).collect()
            }
        }
    }
}
