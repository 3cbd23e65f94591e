//! The code as it is on the page: its rectangles are read out of the PDF, painted, and looked at by a reader of another
//! make, as a camera would.

use domain::money::Money;
use lopdf::content::Content;

use super::sample::invoice;
use crate::{Document, Payment, Totals, Transfer, render};

/// Pixels of a point.
const SCALE: f32 = 3.0;
/// Of an A4 page.
const PIXELS: (usize, usize) = (1_785, 2_526);

fn euros(amount_minor: i64) -> Money {
    Money { amount_minor, currency: "EUR".parse().unwrap() }
}

fn in_euros() -> Document {
    let document = invoice();
    let totals = Totals {
        subtotal: euros(600_000),
        discount: None,
        taxes: Vec::new(),
        total: euros(600_000),
        credit_applied: None,
        paid: None,
        amount_due: Some(euros(600_000)),
    };
    Document { currency: euros(0).currency, lines: Vec::new(), totals, ..document }
}

/// A rectangle, by its corners in points from the top left, and how light it is.
type Filled = ([f32; 4], f32);

/// What is filled on the first page, in the order of its painting.
fn fills(pdf: &[u8]) -> Vec<Filled> {
    let pdf = lopdf::Document::load_mem(pdf).unwrap();
    let page = pdf.get_pages()[&1];
    let content = Content::decode(&pdf.get_page_content(page)).unwrap();
    let (mut light, mut path, mut fills) = (1.0, Vec::new(), Vec::new());
    for operation in content.operations {
        let numbers: Vec<f32> =
            operation.operands.iter().filter_map(|operand| operand.as_float().ok()).collect();
        match operation.operator.as_str() {
            // Black and white are told by one number, colours by three.
            "scn" | "sc" | "g" | "rg" => {
                light =
                    numbers.iter().sum::<f32>() / f32::from(u8::try_from(numbers.len()).unwrap());
            }
            "m" | "l" => path.push((numbers[0], numbers[1])),
            "re" => path.extend([
                (numbers[0], numbers[1]),
                (numbers[0] + numbers[2], numbers[1] + numbers[3]),
            ]),
            "f" | "f*" => {
                let [xs, ys] = [0, 1].map(|axis| {
                    let of = |&(x, y): &(f32, f32)| if axis == 0 { x } else { y };
                    let all = path.iter().map(of);
                    (all.clone().fold(f32::MAX, f32::min), all.fold(f32::MIN, f32::max))
                });
                fills.push(([xs.0, ys.0, xs.1, ys.1], light));
                path.clear();
            }
            _ => {}
        }
    }
    fills
}

/// What codes say that are seen on the first page.
fn codes(document: &Document) -> Vec<String> {
    let fills = fills(&render(document).unwrap());
    let (width, height) = PIXELS;
    let mut page = vec![255_u8; width * height];
    let pixel = |points: f32| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place on the page"
        )]
        let pixel = (points * SCALE).round().max(0.0) as usize;
        pixel
    };
    for ([left, top, right, bottom], light) in fills {
        for y in pixel(top)..pixel(bottom).min(height) {
            let ink = if light > 0.5 { 255 } else { 0 };
            page[y * width + pixel(left)..y * width + pixel(right).min(width)].fill(ink);
        }
    }
    let mut seen =
        rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| page[y * width + x]);
    seen.detect_grids().iter().map(|grid| grid.decode().unwrap().1).collect()
}

#[test]
fn a_camera_reads_the_code_off_the_page() {
    let expected = "BCD\n002\n1\nSCT\nCOBADEFFXXX\nPytake Holding\nDE89370400440532013000\n\
        EUR6000.00\n\nRF78PY2026000123";
    assert_eq!(codes(&in_euros()), [expected]);
    // Beside more text than it has room for, too.
    let mut long = in_euros();
    if let Some(Payment::Transfer(Transfer { account: Some(account), .. })) = &mut long.payment {
        account.bank = "The bank at the corner ".repeat(14);
    }
    assert_eq!(codes(&long), [expected]);
}

#[test]
fn there_is_no_code_without_euros_or_where_nobody_is_asked_to_pay() {
    assert_eq!(codes(&invoice()), Vec::<String>::new());
    assert_eq!(
        codes(&Document { payment: Some(Payment::OnFile), ..in_euros() }),
        Vec::<String>::new()
    );
}

#[test]
fn the_same_code_is_the_same_bytes() {
    assert_eq!(render(&in_euros()).unwrap(), render(&in_euros()).unwrap());
}
