//! The sections of the paper, from the top: who and what, the lines, the sums, the notes, how to pay.

mod grid;
mod head;
mod lines;
mod payment;
mod totals;

use crate::PdfError;
use crate::canvas::{ACCENT, Canvas, Item, LEFT, MUTED, RIGHT, RULE, Strip};
use crate::document::Document;
use crate::font::{Face, Fonts};
use crate::text::Style;

/// Of most text.
const BODY: Style = Style::new(Face::Regular, 9.0, 12.5);
/// Of what matters in it.
const STRONG: Style = Style::new(Face::Bold, 9.0, 12.5);
/// Of what explains.
const SMALL: Style = Style::new(Face::Regular, 7.8, 10.8).in_color(MUTED);
/// Of headings of tables and blocks.
const LABEL: Style = Style::new(Face::Bold, 7.5, 11.0).in_color(MUTED);
/// Of the sums.
const SUM: Style = Style::new(Face::Bold, 10.5, 15.0).in_color(ACCENT);

/// Where the right column begins, that of the facts and of the sums.
const RIGHT_COLUMN: f32 = 318.0;
/// The room between the two columns.
const GUTTER: f32 = 24.0;
/// How far text is inside its coloured ground.
const INSET: f32 = 8.0;

/// The running head of all pages but the first, and the footer of all.
const RUNNING_HEAD: f32 = 44.0;
const FOOTER: f32 = 790.0;

/// The pages of the document, ready to be drawn.
pub(crate) fn pages(document: &Document, fonts: &Fonts) -> Result<Vec<Vec<Item>>, PdfError> {
    let mut canvas = Canvas::new();
    let mut at = Canvas::start();
    head::place(&mut canvas, &mut at, document, fonts);
    lines::place(&mut canvas, &mut at, document, fonts);
    totals::place(&mut canvas, &mut at, document, fonts)?;
    notes(&document.notes, fonts, |strips| canvas.place_together(&mut at, strips));
    payment::place(&mut canvas, &mut at, document, fonts);
    let mut pages = canvas.into_pages();
    add_margins(&mut pages, document, fonts);
    Ok(pages)
}

/// Lines of text that begin at `x`.
fn wrapped(fonts: &Fonts, text: &str, style: Style, x: f32, width: f32) -> Vec<Strip> {
    let lines = style.wrap(fonts, text, width);
    lines.into_iter().map(|line| Strip::at_left(line, style, x)).collect()
}

/// Each note on its own, so that a page break falls between two.
fn notes(notes: &[String], fonts: &Fonts, mut place: impl FnMut(Vec<Strip>)) {
    let title = Strip::at_left("Notes".to_owned(), LABEL, LEFT);
    let mut before = vec![Strip::gap(18.0), title, Strip::gap(2.0)];
    for note in notes {
        let strips = wrapped(fonts, note, BODY, LEFT, RIGHT - LEFT);
        if !strips.is_empty() {
            before.extend(strips);
            place(std::mem::replace(&mut before, vec![Strip::gap(4.0)]));
        }
    }
}

/// The running heads and the footers, which can tell how many pages there are.
fn add_margins(pages: &mut [Vec<Item>], document: &Document, fonts: &Fonts) {
    let count = pages.len();
    let title = format!("{} {}", document.kind.title(), document.number);
    let title = on_one_line(fonts, &title, SMALL, (RIGHT - LEFT) / 2.0);
    let issuer = on_one_line(fonts, &document.issuer.name, SMALL, (RIGHT - LEFT) / 2.0 - GUTTER);
    for (index, page) in pages.iter_mut().enumerate() {
        let number = format!("{} / {count}", index + 1);
        let footer = Strip::at_left(title.clone(), SMALL, LEFT);
        let footer = footer.with_right(fonts, number, SMALL, RIGHT);
        page.extend(moved(Strip::rule(LEFT, RIGHT, RULE), FOOTER));
        page.extend(moved(footer, FOOTER + 6.0));
        if index > 0 {
            let head = Strip::at_left(issuer.clone(), SMALL, LEFT);
            let head = head.with_right(fonts, title.clone(), SMALL, RIGHT);
            page.extend(moved(head, RUNNING_HEAD));
            page.extend(moved(Strip::rule(LEFT, RIGHT, RULE), RUNNING_HEAD + 16.0));
        }
    }
}

fn moved(strip: Strip, by: f32) -> impl Iterator<Item = Item> {
    strip.items.into_iter().map(move |item| item.moved_down(by))
}

/// The first line of the text; it is cut where the width ends, which the first page never does.
fn on_one_line(fonts: &Fonts, text: &str, style: Style, width: f32) -> String {
    const CUT: char = '\u{2026}';
    let room = width - style.width(fonts, "\u{2026}");
    let mut lines = style.wrap(fonts, text, room).into_iter();
    let mut first = lines.next().unwrap_or_default();
    if lines.next().is_some() {
        first.push(CUT);
    }
    first
}
