//! The pages as a PDF.

use jiff::civil::Date;
use krilla::SerializeSettings;
use krilla::color::rgb;
use krilla::configure::ConfigurationBuilder;
use krilla::configure::validate::Archival;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::{DateTime, Metadata};
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::surface::Surface;

use crate::PdfError;
use crate::canvas::{Color, Item};
use crate::document::Document;
use crate::font::Fonts;
use crate::text::printable;

/// PDF/A allows 32,767 bytes in a text of the metadata.
const METADATA_CHARS_MAX: usize = 200;

/// The bytes of the PDF.
pub(crate) fn write(
    document: &Document,
    pages: &[Vec<Item>],
    fonts: &Fonts,
) -> Result<Vec<u8>, PdfError> {
    // Archival, with every character's meaning kept: PDF/A-2, level U.
    let profile = ConfigurationBuilder::new().with_archival_validator(Archival::A2_U).finish();
    let configuration = profile.map_err(|_refused| PdfError::Profile)?;
    let settings = SerializeSettings { configuration, ..SerializeSettings::default() };
    let mut pdf = krilla::Document::new_with(settings);
    pdf.set_metadata(metadata(document));
    for items in pages {
        // A4, as it is krilla's default.
        let mut page = pdf.start_page_with(PageSettings::default());
        let mut surface = page.surface();
        for item in items {
            draw(&mut surface, item, fonts);
        }
        surface.finish();
        page.finish();
    }
    pdf.finish().map_err(|error| PdfError::Write(Box::new(error)))
}

fn draw(surface: &mut Surface<'_>, item: &Item, fonts: &Fonts) {
    match item {
        Item::Text { x, y, text, face, size, color } => {
            let font = fonts.of(*face);
            surface.set_fill(Some(fill(*color)));
            let at = Point::from_xy(*x, *y);
            surface.draw_glyphs(at, &font.glyphs(text), font.font(), text, *size, false);
        }
        Item::Fill { x, y, width, height, color } => {
            // A rectangle without an area, or one that no page has room for, is not drawn.
            let Some(rectangle) = Rect::from_xywh(*x, *y, *width, *height) else { return };
            let mut path = PathBuilder::new();
            path.push_rect(rectangle);
            let Some(path) = path.finish() else { return };
            surface.set_fill(Some(fill(*color)));
            surface.draw_path(&path);
        }
    }
}

fn fill((red, green, blue): Color) -> Fill {
    Fill { paint: rgb::Color::new(red, green, blue).into(), ..Fill::default() }
}

/// All of it is of the document, so that a document rendered again is the same file.
fn metadata(document: &Document) -> Metadata {
    let title = format!("{} {}", document.kind.title(), document.number);
    let id = format!("{title} {}", document.issuer.name);
    Metadata::new()
        .title(short(&title))
        .authors(vec![short(&document.issuer.name)])
        .language("en".to_owned())
        .creation_date(creation(document.issue_date))
        .document_id(id)
}

/// Midnight UTC of the day.
fn creation(date: Date) -> DateTime {
    // A year before Christ is none of an invoice.
    let year = u16::try_from(date.year()).unwrap_or_default();
    let month = u8::try_from(date.month()).unwrap_or(1);
    let day = u8::try_from(date.day()).unwrap_or(1);
    DateTime::new(year).month(month).day(day).hour(0).minute(0).second(0).utc_offset_hour(0)
}

/// What XML allows, and not too long of it.
fn short(text: &str) -> String {
    let allowed = |c: &char| !matches!(c, '\u{fffe}' | '\u{ffff}');
    printable(text).chars().filter(allowed).take(METADATA_CHARS_MAX).collect()
}
