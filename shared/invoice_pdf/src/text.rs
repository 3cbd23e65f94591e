//! Text into lines: what cannot be printed is taken out, and what is too wide is broken.

use crate::canvas::{Color, INK};
use crate::font::{Face, Fonts};

/// The height of a capital letter of the fonts, in parts of their size.
const CAPITAL: f32 = 0.714;
/// No amount is set smaller than this part of its size, however long it is.
const SHRINK_MIN: f32 = 0.3;

/// How a text is set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) face: Face,
    pub(crate) size: f32,
    /// The height of a line.
    pub(crate) leading: f32,
    pub(crate) color: Color,
}

impl Style {
    pub(crate) const fn new(face: Face, size: f32, leading: f32) -> Self {
        Self { face, size, leading, color: INK }
    }

    pub(crate) const fn in_color(self, color: Color) -> Self {
        Self { color, ..self }
    }

    /// How far the base of the letters is below the top of the line.
    pub(crate) fn baseline(&self) -> f32 {
        f32::midpoint(self.leading, self.size * CAPITAL)
    }

    /// The width of a text on one line.
    pub(crate) fn width(&self, fonts: &Fonts, text: &str) -> f32 {
        fonts.of(self.face).width(text) * self.size
    }

    /// Set so small that the text fits into the width, for an amount, which must not be broken.
    pub(crate) fn fitting(self, fonts: &Fonts, text: &str, width: f32) -> Self {
        let is = self.width(fonts, text);
        if is <= width {
            return self;
        }
        Self { size: self.size * (width / is).clamp(SHRINK_MIN, 1.0), ..self }
    }

    /// The text in lines that are no wider than `width`. Empty text has none.
    pub(crate) fn wrap(&self, fonts: &Fonts, text: &str, width: f32) -> Vec<String> {
        let font = fonts.of(self.face);
        let width = width / self.size;
        let mut lines = Vec::new();
        for paragraph in text.lines() {
            let mut line = Wrapped { lines: &mut lines, width, at: 0.0, line: String::new() };
            for word in words(&font.visible(&printable(paragraph))) {
                line.add(word, font.width(word), |character| font.advance(character));
            }
            line.end();
        }
        lines
    }
}

/// The characters that stand for something on paper; other white space becomes a space.
pub(crate) fn printable(text: &str) -> String {
    let shown = text.chars().filter_map(|c| match c {
        '\u{a0}' | '\u{202f}' => Some('\u{a0}'),
        c if c.is_whitespace() => Some(' '),
        c if c.is_control() || is_invisible(c) => None,
        c => Some(c),
    });
    shown.collect()
}

/// Marks for a program that sets text: soft hyphens, joiners, directions, variations. One that turned the direction
/// could make a number read as another.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The words of a text, each with the spaces or the hyphen that it ends with.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive([' ', '-', '/', '\u{2013}', '\u{2014}'])
}

/// Lines as they fill. Widths are in parts of the font's size.
struct Wrapped<'a> {
    lines: &'a mut Vec<String>,
    width: f32,
    at: f32,
    line: String,
}

impl Wrapped<'_> {
    fn add(&mut self, word: &str, wide: f32, advance: impl Fn(char) -> f32) {
        let bare = word.trim_end_matches(' ');
        let bare_wide =
            if bare.len() == word.len() { wide } else { bare.chars().map(&advance).sum() };
        if !self.line.is_empty() && self.at + bare_wide > self.width {
            self.end();
        }
        if bare.is_empty() && self.line.is_empty() {
            return;
        }
        if bare_wide <= self.width {
            self.line.push_str(word);
            self.at += wide;
            return;
        }
        for character in word.chars() {
            let wide = advance(character);
            // What has no width is an accent of the letter before it.
            if !self.line.is_empty() && wide > 0.0 && self.at + wide > self.width {
                self.end();
            }
            self.line.push(character);
            self.at += wide;
        }
    }

    fn end(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = line.trim_end();
        if !line.is_empty() {
            self.lines.push(line.to_owned());
        }
        self.at = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::font::fonts;

    const STYLE: Style = Style::new(Face::Regular, 10.0, 12.0);

    fn wrapped(text: &str, width: f32) -> Vec<String> {
        STYLE.wrap(fonts().unwrap(), text, width)
    }

    #[test]
    fn text_breaks_at_spaces_and_hyphens() {
        assert_eq!(wrapped("one two  three", 50.0), ["one two", "three"]);
        assert_eq!(wrapped("a pay-as-you-go plan", 60.0), ["a pay-as-", "you-go plan"]);
        assert_eq!(wrapped("first\n\n second\r\n", 500.0), ["first", "second"]);
        assert!(wrapped(" \u{200b}\t\n ", 50.0).is_empty());
    }

    #[test]
    fn a_huge_word_is_broken_and_none_of_it_is_lost() {
        let word = "Donaudampfschifffahrt".repeat(9);
        let lines = wrapped(&format!("the {word} went"), 70.0);
        assert!(lines.len() > 10);
        assert!(lines.iter().all(|line| STYLE.width(fonts().unwrap(), line) <= 70.0));
        assert_eq!(lines.concat().replace("went", ""), format!("the{word}"));
    }

    #[test]
    fn what_has_no_glyph_is_visible_and_what_turns_the_text_is_gone() {
        assert_eq!(wrapped("日本 Ωмега\u{7}\u{202e}!", 500.0), ["\u{fffd}\u{fffd} Ωмега!"]);
    }

    #[test]
    fn an_accent_stays_with_its_letter() {
        assert!(wrapped(&"e\u{301}".repeat(40), 30.0).iter().all(|line| line.starts_with('e')));
    }
}
