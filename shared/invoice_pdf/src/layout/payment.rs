//! How to pay, on a coloured ground.

use super::{BODY, LABEL, STRONG, wrapped};
use crate::amount;
use crate::canvas::{BAND, Canvas, Cursor, LEFT, MUTED, RIGHT, Strip};
use crate::document::{Document, Kind};
use crate::font::Fonts;

/// How far the text is inside the box.
const INSET: f32 = 12.0;
/// Where the values begin, right of their labels.
const VALUE: f32 = LEFT + 104.0;

/// Draws the box, when there is something in it.
pub(super) fn place(canvas: &mut Canvas, at: &mut Cursor, document: &Document, fonts: &Fonts) {
    let mut strips = account(document, fonts);
    let free = document.payment.as_ref().and_then(|payment| payment.instructions.as_deref());
    let left = LEFT + INSET;
    let free = wrapped(fonts, free.unwrap_or_default(), BODY, left, RIGHT - INSET - left);
    if !strips.is_empty() && !free.is_empty() {
        strips.push(Strip::gap(5.0));
    }
    strips.extend(free);
    let charged = document.payment.as_ref().is_some_and(|payment| payment.charged);
    if strips.is_empty() && !charged {
        return;
    }
    let title = Strip::at_left("Payment".to_owned(), LABEL, left);
    let mut boxed = vec![Strip::gap(INSET - 2.0), title, Strip::gap(2.0)];
    boxed.extend(request(document).map(|text| Strip::at_left(text, STRONG, left)));
    boxed.push(Strip::gap(4.0));
    boxed.extend(strips);
    boxed.push(Strip::gap(INSET));
    canvas.place(at, Strip::gap(18.0));
    // A strip each: what is longer than a page goes on with its ground on the next.
    let boxed = boxed.into_iter().map(|strip| strip.on(LEFT, RIGHT, BAND)).collect();
    canvas.place_together(at, boxed);
}

/// What to pay and until when, in a sentence.
fn request(document: &Document) -> Option<String> {
    let due = document.totals.amount_due.filter(|due| due.amount_minor > 0)?;
    if document.kind != Kind::Invoice {
        return None;
    }
    let named = amount::named(due);
    if document.payment.as_ref().is_some_and(|payment| payment.charged) {
        return Some(format!("{named} will be charged to your payment method on file."));
    }
    document.due_date.map(|date| format!("Please pay {named} by {}.", amount::date(date)))
}

/// The account, a label and a value each.
fn account(document: &Document, fonts: &Fonts) -> Vec<Strip> {
    let Some(payment) = &document.payment else { return Vec::new() };
    let grouped = |text: &Option<String>| text.as_deref().map(amount::grouped);
    let values = [
        ("Account holder", payment.account_holder.clone()),
        ("Bank", payment.bank.clone()),
        ("IBAN", grouped(&payment.iban)),
        ("BIC", payment.bic.clone()),
        ("Reference", grouped(&payment.reference)),
    ];
    let mut strips = Vec::new();
    for (label, value) in values {
        let value = value.unwrap_or_default();
        let lines = BODY.wrap(fonts, &value, RIGHT - INSET - VALUE);
        for (index, line) in lines.into_iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            let label = Strip::at_left(label.to_owned(), BODY.in_color(MUTED), LEFT + INSET);
            strips.push(label.with_left(line, BODY, VALUE));
        }
    }
    strips
}
