//! Pages as lists of things to draw, filled from the top. Nothing here knows what an invoice is.

use crate::font::{Face, Fonts};
use crate::text::Style;

/// A colour: red, green, blue.
pub(crate) type Color = (u8, u8, u8);

/// Of text.
pub(crate) const INK: Color = (0x1b, 0x1f, 0x24);
/// Of what is said beside.
pub(crate) const MUTED: Color = (0x5a, 0x64, 0x70);
/// Of the title and the sums.
pub(crate) const ACCENT: Color = (0x1d, 0x3d, 0x63);
/// Of hairlines.
pub(crate) const RULE: Color = (0xd6, 0xdb, 0xe1);
/// Of the ground of headings and boxes.
pub(crate) const BAND: Color = (0xf2, 0xf5, 0xf8);

/// Of the dark modules of a code, and of its ground.
pub(crate) const CODE: Color = (0, 0, 0);
pub(crate) const WHITE: Color = (0xff, 0xff, 0xff);

/// The left edge of what is printed; a page is 595 × 842 points (A4).
pub(crate) const LEFT: f32 = 50.0;
/// The right edge.
pub(crate) const RIGHT: f32 = 545.0;
/// Where the first page begins.
const FIRST_TOP: f32 = 48.0;
/// Where the others begin, below their running head.
const TOP: f32 = 78.0;
/// Where all end, above the footer.
const BOTTOM: f32 = 778.0;

/// How thick a hairline is.
const HAIR: f32 = 0.6;

/// Something to draw, from the top left corner of its page or strip.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// Text on one line; `y` is the base of its letters.
    Text { x: f32, y: f32, text: String, face: Face, size: f32, color: Color },
    /// A rectangle.
    Fill { x: f32, y: f32, width: f32, height: f32, color: Color },
}

/// A piece as high as a line of text, which no page break cuts. Its items' `x` is the page's, their `y` its own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Strip {
    pub(crate) height: f32,
    pub(crate) items: Vec<Item>,
}

/// Where the next strip goes.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) struct Cursor {
    page: usize,
    y: f32,
}

/// The pages so far.
pub(crate) struct Canvas {
    pages: Vec<Vec<Item>>,
    /// Put on the top of each new page, such as the heading of a table.
    pub(crate) heading: Option<Strip>,
}

impl Item {
    pub(crate) fn moved_down(self, by: f32) -> Self {
        match self {
            Self::Text { x, y, text, face, size, color } => {
                Self::Text { x, y: y + by, text, face, size, color }
            }
            Self::Fill { x, y, width, height, color } => {
                Self::Fill { x, y: y + by, width, height, color }
            }
        }
    }
}

impl Strip {
    /// Nothing.
    pub(crate) const fn gap(height: f32) -> Self {
        Self { height, items: Vec::new() }
    }

    /// A hairline from one edge to the other.
    pub(crate) fn rule(left: f32, right: f32, color: Color) -> Self {
        let line = Item::Fill { x: left, y: 0.0, width: right - left, height: HAIR, color };
        Self { height: HAIR, items: vec![line] }
    }

    /// A line of text that begins at `x`.
    pub(crate) fn at_left(text: String, style: Style, x: f32) -> Self {
        Self::gap(style.leading).with_left(text, style, x)
    }

    /// A line of text that ends at `x`.
    pub(crate) fn at_right(fonts: &Fonts, text: String, style: Style, x: f32) -> Self {
        Self::gap(style.leading).with_right(fonts, text, style, x)
    }

    pub(crate) fn with_left(mut self, text: String, style: Style, x: f32) -> Self {
        let Style { face, size, color, .. } = style;
        if !text.is_empty() {
            self.items.push(Item::Text { x, y: style.baseline(), text, face, size, color });
        }
        self
    }

    pub(crate) fn with_right(self, fonts: &Fonts, text: String, style: Style, x: f32) -> Self {
        let x = x - style.width(fonts, &text);
        self.with_left(text, style, x)
    }

    /// The same on a coloured ground.
    pub(crate) fn on(mut self, left: f32, right: f32, color: Color) -> Self {
        let (width, height) = (right - left, self.height);
        self.items.insert(0, Item::Fill { x: left, y: 0.0, width, height, color });
        self
    }
}

/// How high strips are, one below the other.
pub(crate) fn height(strips: &[Strip]) -> f32 {
    strips.iter().map(|strip| strip.height).sum()
}

impl Canvas {
    pub(crate) const fn new() -> Self {
        Self { pages: Vec::new(), heading: None }
    }

    /// The top of the first page.
    pub(crate) const fn start() -> Cursor {
        Cursor { page: 0, y: FIRST_TOP }
    }

    fn page(&mut self, page: usize) -> &mut Vec<Item> {
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, Vec::new);
        }
        &mut self.pages[page]
    }

    fn put(&mut self, at: Cursor, strip: Strip) {
        let items = strip.items.into_iter().map(|item| item.moved_down(at.y));
        self.page(at.page).extend(items);
    }

    fn next_page(&mut self, at: &mut Cursor) {
        *at = Cursor { page: at.page + 1, y: TOP };
        if let Some(heading) = self.heading.clone() {
            let height = heading.height;
            self.put(*at, heading);
            at.y += height;
        }
    }

    /// Draws a strip, on the next page when this one is full.
    pub(crate) fn place(&mut self, at: &mut Cursor, strip: Strip) {
        if strip.items.is_empty() {
            // A gap opens no page: it may be the last.
            at.y = (at.y + strip.height).min(BOTTOM);
            return;
        }
        if at.y + strip.height > BOTTOM {
            self.next_page(at);
        }
        let height = strip.height;
        self.put(*at, strip);
        at.y += height;
    }

    /// Draws strips one below the other, wherever the page ends.
    pub(crate) fn place_all(&mut self, at: &mut Cursor, strips: Vec<Strip>) {
        for strip in strips {
            self.place(at, strip);
        }
    }

    /// Goes to the next page when there is less room than this. What no page has room for stays, and will be cut.
    pub(crate) fn keep(&mut self, at: &mut Cursor, needed: f32) {
        let heading = self.heading.as_ref().map_or(0.0, |strip| strip.height);
        if at.y + needed > BOTTOM && needed <= BOTTOM - TOP - heading {
            self.next_page(at);
        }
    }

    /// Draws strips one below the other, on one page when they fit on one.
    pub(crate) fn place_together(&mut self, at: &mut Cursor, strips: Vec<Strip>) {
        self.keep(at, height(&strips));
        self.place_all(at, strips);
    }

    /// Draws two columns side by side; goes on below the longer.
    pub(crate) fn place_columns(&mut self, at: &mut Cursor, left: Vec<Strip>, right: Vec<Strip>) {
        let (mut left_end, mut right_end) = (*at, *at);
        self.place_all(&mut left_end, left);
        self.place_all(&mut right_end, right);
        *at = if left_end > right_end { left_end } else { right_end };
    }

    /// The pages, at least one.
    pub(crate) fn into_pages(mut self) -> Vec<Vec<Item>> {
        self.page(0);
        self.pages
    }
}
