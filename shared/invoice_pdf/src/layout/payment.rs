//! How to pay, on a coloured ground.

use qrcodegen::QrCode;

use super::{BODY, LABEL, SMALL, STRONG};
use crate::amount;
use crate::canvas::{self, BAND, CODE, Canvas, Cursor, Item, LEFT, MUTED, RIGHT, Strip, WHITE};
use crate::document::{Document, Kind, Payment, Transfer};
use crate::font::Fonts;
use crate::payment_code;

/// How far the text is inside the box.
const INSET: f32 = 12.0;
/// Where the values begin, right of their labels.
const VALUE: f32 = LEFT + 104.0;
/// The edge of the code with its margin: 34 mm, of which the finest code has modules of half a millimetre.
const CODE_EDGE: f32 = 96.0;
/// The margin that readers want, in modules.
const QUIET: f32 = 4.0;
/// Where the code begins.
const CODE_LEFT: f32 = RIGHT - INSET - CODE_EDGE;
/// Between the text and the code.
const CODE_GAP: f32 = 12.0;

/// Draws the box, when there is something in it.
pub(super) fn place(canvas: &mut Canvas, at: &mut Cursor, document: &Document, fonts: &Fonts) {
    let Some(payment) = &document.payment else { return };
    let inside = match payment {
        Payment::OnFile => Vec::new(),
        Payment::Transfer(transfer) => {
            let inside = transfer_strips(document, transfer, fonts);
            if inside.is_empty() {
                return;
            }
            inside
        }
    };
    let left = LEFT + INSET;
    let title = Strip::at_left("Payment".to_owned(), LABEL, left);
    let mut boxed = vec![Strip::gap(INSET - 2.0), title, Strip::gap(2.0)];
    boxed.extend(request(document, payment).map(|text| Strip::at_left(text, STRONG, left)));
    boxed.push(Strip::gap(4.0));
    boxed.extend(inside);
    boxed.push(Strip::gap(INSET));
    canvas.place(at, Strip::gap(18.0));
    // A strip each: what is longer than a page goes on with its ground on the next.
    let boxed = boxed.into_iter().map(|strip| strip.on(LEFT, RIGHT, BAND)).collect();
    canvas.place_together(at, boxed);
}

/// What to pay and until when, in a sentence.
fn request(document: &Document, payment: &Payment) -> Option<String> {
    let due = document.totals.amount_due.filter(|due| due.amount_minor > 0)?;
    if document.kind != Kind::Invoice {
        return None;
    }
    let named = amount::named(due);
    match payment {
        Payment::OnFile => Some(format!("{named} will be charged to your payment method on file.")),
        Payment::Transfer(_) => {
            document.due_date.map(|date| format!("Please pay {named} by {}.", amount::date(date)))
        }
    }
}

/// The account and the reference, and the code that says the same to a camera.
fn transfer_strips(document: &Document, transfer: &Transfer, fonts: &Fonts) -> Vec<Strip> {
    let due = document.totals.amount_due.filter(|_| document.kind == Kind::Invoice);
    let Some(code) = due.and_then(|due| payment_code::code(transfer, due)) else {
        return account(transfer, fonts, RIGHT - INSET);
    };
    let text = account(transfer, fonts, CODE_LEFT - CODE_GAP);
    let code = code_strip(&code, fonts);
    if canvas::height(&text) > code.height {
        // More text than usual: the code has a place of its own, which no page break cuts.
        return text.into_iter().chain([Strip::gap(4.0), code]).collect();
    }
    let mut beside = code;
    let mut y = 0.0;
    for strip in text {
        beside.items.extend(strip.items.into_iter().map(|item| item.moved_down(y)));
        y += strip.height;
    }
    vec![beside]
}

/// The account, a label and a value each.
fn account(transfer: &Transfer, fonts: &Fonts, right: f32) -> Vec<Strip> {
    let account = transfer.account.as_ref();
    let of = |value: fn(&crate::Account) -> String| account.map(value).unwrap_or_default();
    let reference = transfer.reference.as_deref().map(amount::grouped);
    let values = [
        ("Account holder", of(|account| account.holder.clone())),
        ("Bank", of(|account| account.bank.clone())),
        ("IBAN", of(|account| amount::grouped(&account.iban))),
        ("BIC", of(|account| account.bic.clone())),
        ("Reference", reference.unwrap_or_default()),
    ];
    let mut strips = Vec::new();
    for (label, value) in values {
        let lines = BODY.wrap(fonts, &value, right - VALUE);
        for (index, line) in lines.into_iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            let label = Strip::at_left(label.to_owned(), BODY.in_color(MUTED), LEFT + INSET);
            strips.push(label.with_left(line, BODY, VALUE));
        }
    }
    strips
}

/// The code on its white margin, and below it what it is for.
fn code_strip(code: &QrCode, fonts: &Fonts) -> Strip {
    let modules = code.size();
    #[expect(clippy::cast_precision_loss, reason = "a code has at most 177 modules")]
    let place = |module: i32| module as f32;
    let module = CODE_EDGE / (place(modules) + 2.0 * QUIET);
    let (edge, x) = (CODE_EDGE, CODE_LEFT);
    let mut strip = Strip::gap(edge);
    strip.items.push(Item::Fill { x, y: 0.0, width: edge, height: edge, color: WHITE });
    for row in 0..modules {
        let mut column = 0;
        while column < modules {
            let mut end = column;
            while end < modules && code.get_module(end, row) {
                end += 1;
            }
            if end > column {
                // One rectangle for what is dark side by side: fewer bytes, and no seams.
                strip.items.push(Item::Fill {
                    x: x + module * (QUIET + place(column)),
                    y: module * (QUIET + place(row)),
                    width: module * place(end - column),
                    height: module,
                    color: CODE,
                });
            }
            column = end + 1;
        }
    }
    let caption = "Scan to pay with your banking app".to_owned();
    let below = Strip::at_right(fonts, caption, SMALL, x + edge);
    strip.items.extend(below.items.into_iter().map(|item| item.moved_down(edge + 1.0)));
    strip.height += below.height;
    strip
}
