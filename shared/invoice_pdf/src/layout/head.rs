//! Who issued what to whom, and the facts of it.

use super::{BODY, GUTTER, LABEL, RIGHT_COLUMN, SMALL, STRONG, wrapped};
use crate::amount;
use crate::canvas::{ACCENT, Canvas, Cursor, Item, LEFT, RIGHT, RULE, Strip};
use crate::document::{Document, Kind, Party};
use crate::font::{Face, Fonts};
use crate::text::Style;

const TITLE: Style = Style::new(Face::Bold, 24.0, 28.0).in_color(ACCENT);
const NUMBER: Style = Style::new(Face::Bold, 11.0, 15.0);
const NAME: Style = Style::new(Face::Bold, 11.0, 15.0);
const STAMP: Style = Style::new(Face::Bold, 9.5, 18.0).in_color(ACCENT);

/// The room between the stamp's text and its frame.
const STAMP_INSET: f32 = 9.0;
/// How thick the frame is.
const FRAME: f32 = 1.0;
/// Where the values of the facts begin, right of their labels.
const VALUE: f32 = 84.0;
/// The width of the left column.
const LEFT_WIDTH: f32 = RIGHT_COLUMN - GUTTER - LEFT;
/// The width of the right column.
const RIGHT_WIDTH: f32 = RIGHT - RIGHT_COLUMN;

/// Draws the head of the first page.
pub(super) fn place(canvas: &mut Canvas, at: &mut Cursor, document: &Document, fonts: &Fonts) {
    canvas.place_columns(at, party(&document.issuer, fonts), title(document, fonts));
    canvas.place(at, Strip::gap(26.0));
    let to = match document.kind {
        Kind::Invoice => "Bill to",
        Kind::CreditNote { .. } => "Credit to",
    };
    let mut customer = vec![Strip::at_left(to.to_owned(), LABEL, LEFT), Strip::gap(2.0)];
    customer.extend(party(&document.customer, fonts));
    canvas.place_columns(at, customer, facts(document, fonts));
    canvas.place(at, Strip::gap(24.0));
}

fn party(party: &Party, fonts: &Fonts) -> Vec<Strip> {
    let lines = |text: &str, style| wrapped(fonts, text, style, LEFT, LEFT_WIDTH);
    let mut strips = lines(&party.name, NAME);
    strips.extend(party.address.iter().flat_map(|line| lines(line, BODY)));
    let rest = party.tax_ids.iter().chain(&party.email);
    let rest: Vec<Strip> = rest.flat_map(|line| lines(line, SMALL)).collect();
    if !rest.is_empty() {
        strips.push(Strip::gap(3.0));
        strips.extend(rest);
    }
    strips
}

fn title(document: &Document, fonts: &Fonts) -> Vec<Strip> {
    let right = |text, style| Strip::at_right(fonts, text, style, RIGHT);
    let mut strips = vec![right(document.kind.title().to_owned(), TITLE)];
    let number = NUMBER.wrap(fonts, &document.number, RIGHT_WIDTH);
    strips.extend(number.into_iter().map(|line| right(line, NUMBER)));
    let stamp = document.stamp.as_deref().unwrap_or_default();
    let stamp = STAMP.wrap(fonts, stamp, RIGHT_WIDTH - 2.0 * STAMP_INSET);
    if !stamp.is_empty() {
        strips.push(Strip::gap(6.0));
        strips.extend(framed(stamp, fonts));
    }
    strips
}

/// The stamp: a frame around its lines.
fn framed(lines: Vec<String>, fonts: &Fonts) -> Vec<Strip> {
    let widest = lines.iter().map(|line| STAMP.width(fonts, line)).fold(0.0, f32::max);
    let left = RIGHT - widest - 2.0 * STAMP_INSET;
    let last = lines.len() - 1;
    let framed = lines.into_iter().enumerate().map(|(index, text)| {
        let mut strip = Strip::at_right(fonts, text, STAMP, RIGHT - STAMP_INSET);
        let (width, height, color) = (RIGHT - left, strip.height, STAMP.color);
        let side = |x| Item::Fill { x, y: 0.0, width: FRAME, height, color };
        let edge = |y| Item::Fill { x: left, y, width, height: FRAME, color };
        strip.items.extend([side(left), side(RIGHT - FRAME)]);
        strip.items.extend((index == 0).then(|| edge(0.0)));
        strip.items.extend((index == last).then(|| edge(height - FRAME)));
        strip
    });
    framed.collect()
}

fn facts(document: &Document, fonts: &Fonts) -> Vec<Strip> {
    let (number_of, corrects) = match &document.kind {
        Kind::Invoice => ("Invoice number", None),
        Kind::CreditNote { corrects } => ("Credit note number", Some(corrects.clone())),
    };
    let facts = [
        (number_of, Some(document.number.clone()), BODY),
        ("Corrects invoice", corrects, BODY),
        ("Issue date", Some(amount::date(document.issue_date)), BODY),
        ("Due date", document.due_date.map(amount::date), BODY),
        ("Service period", document.service_period.map(amount::dates), BODY),
        ("Currency", Some(document.currency.to_string()), BODY),
        ("Amount due", document.totals.amount_due.map(amount::named), STRONG),
    ];
    let mut strips = vec![Strip::rule(RIGHT_COLUMN, RIGHT, RULE)];
    for (label, value, style) in facts {
        strips.extend(value.map(|value| fact(fonts, label, &value, style)).unwrap_or_default());
    }
    strips
}

/// A label, its value and a hairline below.
fn fact(fonts: &Fonts, label: &str, value: &str, style: Style) -> Vec<Strip> {
    let leading = style.leading;
    let mut lines = style.wrap(fonts, value, RIGHT_WIDTH - VALUE).into_iter();
    let label_style = Style { leading, ..SMALL };
    let first = Strip::at_left(label.to_owned(), label_style, RIGHT_COLUMN);
    let first = first.with_right(fonts, lines.next().unwrap_or_default(), style, RIGHT);
    let mut strips = vec![Strip::gap(2.5), first];
    strips.extend(lines.map(|line| Strip::at_right(fonts, line, style, RIGHT)));
    strips.extend([Strip::gap(2.5), Strip::rule(RIGHT_COLUMN, RIGHT, RULE)]);
    strips
}
