//! The two fonts: read once, asked for the glyph and the width of a character.

use std::sync::LazyLock;

use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::MetadataProvider;
use skrifa::charmap::Charmap;
use skrifa::instance::{LocationRef, Size};
use skrifa::metrics::GlyphMetrics;

use crate::PdfError;

static REGULAR: &[u8] = include_bytes!("../fonts/NotoSans-Regular.ttf");
static BOLD: &[u8] = include_bytes!("../fonts/NotoSans-SemiBold.ttf");

/// Read once: it takes longer than the rest of a render.
static FONTS: LazyLock<Option<Fonts>> = LazyLock::new(|| {
    Some(Fonts { regular: LoadedFont::load(REGULAR)?, bold: LoadedFont::load(BOLD)? })
});

/// Shown for a character that the font does not have.
const MISSING: char = char::REPLACEMENT_CHARACTER;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    /// For most of it.
    Regular,
    /// For names and sums.
    Bold,
}

/// Both faces.
pub(crate) struct Fonts {
    regular: LoadedFont,
    bold: LoadedFont,
}

/// One face, as krilla embeds it and as it is measured.
pub(crate) struct LoadedFont {
    font: Font,
    characters: Charmap<'static>,
    metrics: GlyphMetrics<'static>,
    units_per_em: f32,
}

/// The fonts of this crate.
pub(crate) fn fonts() -> Result<&'static Fonts, PdfError> {
    FONTS.as_ref().ok_or(PdfError::Font)
}

impl Fonts {
    pub(crate) const fn of(&self, face: Face) -> &LoadedFont {
        match face {
            Face::Regular => &self.regular,
            Face::Bold => &self.bold,
        }
    }
}

impl LoadedFont {
    fn load(bytes: &'static [u8]) -> Option<Self> {
        let font = Font::new(bytes.into(), 0)?;
        let face = skrifa::FontRef::new(bytes).ok()?;
        let metrics = face.glyph_metrics(Size::unscaled(), LocationRef::default());
        let loaded =
            Self { units_per_em: font.units_per_em(), characters: face.charmap(), metrics, font };
        // Otherwise what is missing would not be visible, and PDF/A would refuse it.
        loaded.has(MISSING).then_some(loaded)
    }

    /// What krilla embeds.
    pub(crate) fn font(&self) -> Font {
        self.font.clone()
    }

    fn has(&self, character: char) -> bool {
        self.characters.map(character).is_some_and(|glyph| glyph.to_u32() != 0)
    }

    /// The text with every character that has no glyph replaced.
    pub(crate) fn visible(&self, text: &str) -> String {
        text.chars().map(|c| if self.has(c) { c } else { MISSING }).collect()
    }

    /// The width of a character, in parts of the font's size.
    pub(crate) fn advance(&self, character: char) -> f32 {
        let glyph = self.characters.map(character).unwrap_or_default();
        self.metrics.advance_width(glyph).unwrap_or_default() / self.units_per_em
    }

    /// The width of a text, in parts of the font's size.
    pub(crate) fn width(&self, text: &str) -> f32 {
        text.chars().map(|c| self.advance(c)).sum()
    }

    /// One glyph a character. Without kerning or ligatures, so that what is copied is what was written.
    pub(crate) fn glyphs(&self, text: &str) -> Vec<KrillaGlyph> {
        let glyph = |(at, character): (usize, char)| {
            let id = self.characters.map(character).unwrap_or_default().to_u32();
            let range = at..at + character.len_utf8();
            KrillaGlyph::new(GlyphId::new(id), self.advance(character), 0.0, 0.0, 0.0, range, None)
        };
        text.char_indices().map(glyph).collect()
    }
}
