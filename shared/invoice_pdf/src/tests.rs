//! What is proven of the whole: the bytes are always the same, all that was given can be read, nothing makes it fail.

mod code_on_page;
mod sample;

use domain::money::{Currency, Money};
use proptest::prelude::*;

use crate::{
    Account, Dates, Document, Kind, Line, Party, Payment, PdfError, Tax, Totals, Transfer, render,
};
use sample::{credit_note, invoice, line, usd};

/// The text of each page, as a reader would copy it, with a bar after each piece.
fn pages(pdf: &[u8]) -> Vec<String> {
    let pdf = lopdf::Document::load_mem(pdf).unwrap();
    let text = |page| {
        let text = pdf.extract_text(&[page]).unwrap();
        text.lines().map(|line| format!("{}|", line.trim_end())).collect()
    };
    pdf.get_pages().into_keys().map(text).collect()
}

fn text(document: &Document) -> String {
    pages(&render(document).unwrap()).concat()
}

#[track_caller]
fn assert_found(text: &str, expected: &[&str]) {
    for expected in expected {
        assert!(text.contains(expected), "no {expected:?} in {text}");
    }
}

#[test]
fn the_same_document_is_the_same_file() {
    let document = invoice();
    let pdf = render(&document).unwrap();
    assert_eq!(pdf, render(&document).unwrap());
    let other = Document { number: "INV-2026-000124".to_owned(), ..document };
    assert_ne!(pdf, render(&other).unwrap());
}

#[test]
fn all_that_is_on_an_invoice_can_be_read() {
    let text = text(&invoice());
    assert_found(&text, &["Invoice|", "INV-2026-000123", "1 May 2026", "31 May 2026", "Due soon"]);
    assert_found(&text, &["1 Apr 2026 \u{2013} 30 Apr 2026", "Currency|USD", "Bill to"]);
    assert_found(&text, &["Pytake Gateway GmbH", "Torstraße 1", "VAT ID DE123456789", "a@py.test"]);
    assert_found(&text, &["Ελληνική Εταιρεία Α.Ε.", "Сергей Łukasz", "VAT ID EL987654321"]);
    assert_found(&text, &["Description", "Quantity", "Unit price", "Discount", "Net (USD)"]);
    assert_found(&text, &["Pro plan", "1,250,000 calls", "0.0047", "-25.00", "5,850.00", "19 %"]);
    assert_found(&text, &["12,500,000 calls less 11,250,000 included"]);
    assert_found(&text, &["Subtotal|6,024.00", "Discounts|-24.00", "Tax|1,035.00"]);
    assert_found(
        &text,
        &["Taxable amount", "VAT 19 %|5,000.00|950.00", "VAT 8.5 %|1,000.00|85.00"],
    );
    assert_found(&text, &["Total|USD 7,035.00", "Credit applied|-35.00", "Paid|-1,000.00"]);
    assert_found(&text, &["Amount due|USD 6,000.00", "Please pay USD 6,000.00 by 31 May 2026."]);
    assert_found(&text, &["Reverse charge: VAT is owed by the recipient.", "1 / 1"]);
    assert_found(&text, &["DE89 3704 0044 0532 0130 00", "COBADEFFXXX", "RF78 PY20 2600 0123"]);
    assert_found(&text, &["Musterbank", "Pytake Holding"]);
    assert!(!text.contains('\u{fffd}'));
}

#[test]
fn a_credit_note_says_what_it_corrects() {
    let text = text(&credit_note());
    assert_found(&text, &["Credit note|", "CN-2026-000007", "Corrects invoice|INV-2026-000123"]);
    assert_found(&text, &["Credit to", "Total credit|USD 1,190.00", "Credit note CN-2026-000007"]);
    for absent in ["Amount due", "Due date", "Payment", "Please pay", "Bill to", "Paid"] {
        assert!(!text.contains(absent), "{absent} in {text}");
    }
}

#[test]
fn a_long_invoice_has_pages_with_the_tables_heading_each() {
    let lines = (1..=120).map(|number| line(&format!("Service number {number}")));
    let document = Document { lines: lines.collect(), ..invoice() };
    let pages = pages(&render(&document).unwrap());
    let count = pages.len();
    assert!((4..=9).contains(&count), "{count}");
    let with_lines: Vec<_> = pages.iter().filter(|page| page.contains("Service number")).collect();
    assert!(with_lines.len() >= count - 1);
    for page in with_lines {
        assert_found(page, &["Description", "Quantity", "Net (USD)"]);
    }
    for (index, page) in pages.iter().enumerate() {
        assert_found(page, &["Invoice INV-2026-000123", &format!("{} / {count}", index + 1)]);
    }
    let all = pages.concat();
    for number in 1..=120 {
        assert_found(&all, &[&format!("Service number {number}|")]);
    }
}

#[test]
fn the_sums_are_on_one_page_wherever_the_lines_end() {
    for count in 5..40 {
        let lines = vec![line("A service"); count];
        let document = Document { lines, ..invoice() };
        let pages = pages(&render(&document).unwrap());
        let sums: Vec<_> = pages.iter().filter(|page| page.contains("Subtotal")).collect();
        assert_eq!(sums.len(), 1, "{count}");
        assert_found(sums[0], &["Taxable amount", "VAT 8.5 %", "Amount due|USD 6,000.00"]);
        let payments: Vec<_> = pages.iter().filter(|page| page.contains("Bank|")).collect();
        assert_found(payments[0], &["Payment|", "RF78 PY20 2600 0123"]);
        // No page is left blank between two.
        assert!(pages.iter().all(|page| page.len() > 90), "{pages:?}");
    }
}

#[test]
fn what_is_charged_is_not_asked_for() {
    let text = text(&Document { payment: Some(Payment::OnFile), ..invoice() });
    assert_found(&text, &["Payment|USD 6,000.00 will be charged to your payment method on file."]);
    assert!(!text.contains("Please pay"), "{text}");
}

#[test]
fn a_text_longer_than_a_page_goes_on_with_all_its_words() {
    let long: Vec<String> = (0..6_000).map(|word| format!("word{word}")).collect();
    let long = long.join(" ");
    let mut document = invoice();
    document.lines[0].detail = Some(long.clone());
    document.notes = vec![long.clone()];
    document.issuer.address = vec![long.clone()];
    let account =
        Account { holder: long, bank: String::new(), iban: String::new(), bic: String::new() };
    document.payment =
        Some(Payment::Transfer(Transfer { account: Some(account), reference: None }));
    let text = text(&document).replace('|', " ");
    for word in ["word0 ", "word2999 ", "word5999 "] {
        assert_eq!(text.matches(word).count(), 4, "{word}");
    }
}

#[test]
fn what_the_font_lacks_is_shown_as_missing() {
    let mut document = invoice();
    document.customer.name = "株式会社 Pytake 😀".to_owned();
    assert_found(&text(&document), &["\u{fffd}\u{fffd}\u{fffd}\u{fffd} Pytake \u{fffd}"]);
}

#[test]
fn the_least_document_is_one_page() {
    let least = least();
    let pages = pages(&render(&least).unwrap());
    assert_eq!(pages.len(), 1);
    assert_found(&pages[0], &["Invoice", "Subtotal|0", "Total|JPY 0", "1 / 1"]);
    for absent in ["Description", "Tax", "Notes", "Payment", "Amount due", "Due", "Service"] {
        assert!(!pages[0].contains(absent), "{absent} in {}", pages[0]);
    }
}

#[test]
fn amounts_have_the_digits_of_their_currency() {
    let kwd = |amount_minor| Money { amount_minor, currency: "KWD".parse().unwrap() };
    let mut document = least();
    document.currency = kwd(0).currency;
    document.totals.subtotal = kwd(i64::MIN);
    document.totals.total = kwd(1_234_567);
    let line = Line { net: kwd(-1), discount: Some(kwd(i64::MIN)), ..line("A service") };
    document.lines = vec![line];
    let text = text(&document);
    assert_found(&text, &["-9,223,372,036,854,775.808", "KWD 1,234.567", "Net (KWD)", "-0.001"]);
}

#[test]
fn an_amount_in_another_currency_is_refused() {
    let mut document = invoice();
    document.totals.taxes[1].tax = Money { amount_minor: 1, currency: "EUR".parse().unwrap() };
    let error = render(&document).unwrap_err();
    assert!(matches!(error, PdfError::Currency { expected: Currency::USD, .. }), "{error}");
    document.totals.taxes[1].tax = usd(i64::MAX);
    assert!(matches!(render(&document).unwrap_err(), PdfError::TaxSum(_)));
}

#[test]
fn the_file_says_what_it_is() {
    let pdf = render(&invoice()).unwrap();
    let pdf = lopdf::Document::load_mem(&pdf).unwrap();
    let info = pdf.trailer.get(b"Info").unwrap().as_reference().unwrap();
    let info = pdf.get_dictionary(info).unwrap();
    let field = |key: &[u8]| lopdf::decode_text_string(info.get(key).unwrap()).unwrap();
    assert_eq!(field(b"Title"), "Invoice INV-2026-000123");
    assert_eq!(field(b"Author"), "Pytake Gateway GmbH");
    assert_eq!(field(b"CreationDate"), "D:20260501000000Z");
    let catalog = pdf.catalog().unwrap();
    assert_eq!(lopdf::decode_text_string(catalog.get(b"Lang").unwrap()).unwrap(), "en");
    let metadata = catalog.get(b"Metadata").unwrap().as_reference().unwrap();
    let metadata = pdf.get_object(metadata).unwrap().as_stream().unwrap();
    let metadata = String::from_utf8(metadata.get_plain_content().unwrap()).unwrap();
    assert_found(&metadata, &["pdfaid:part>2<", "pdfaid:conformance>U<", "2026-05-01"]);
}

fn least() -> Document {
    let zero = Money { amount_minor: 0, currency: "JPY".parse().unwrap() };
    Document {
        kind: Kind::Invoice,
        number: String::new(),
        issue_date: jiff::civil::Date::ZERO,
        due_date: None,
        service_period: None,
        currency: zero.currency,
        stamp: None,
        issuer: Party::default(),
        customer: Party::default(),
        lines: Vec::new(),
        totals: Totals {
            subtotal: zero,
            discount: None,
            taxes: Vec::new(),
            total: zero,
            credit_applied: None,
            paid: None,
            amount_due: None,
        },
        notes: Vec::new(),
        payment: None,
    }
}

/// Any characters at all, many of them awkward.
fn any_text() -> impl Strategy<Value = String> {
    const AWKWARD: &str = "\0\n\r\u{7f}\u{a0}\u{ad}\u{301}\u{200d}\u{202e}\u{2028}\u{feff}\u{fffe}\
        \u{fffd}\u{e000}\u{10ffff}<&(\\ -Ω語א😀";
    let awkward = prop::sample::select(AWKWARD.chars().collect::<Vec<_>>());
    let character = prop_oneof![awkward, any::<char>(), prop::char::range('!', '~')];
    prop::collection::vec(character, 0..90).prop_map(|characters| characters.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_text_makes_it_fail(
        texts in prop::collection::vec(any_text(), 24),
        amount_minor in any::<i64>(),
        repeat in 1_usize..6,
    ) {
        let mut texts = texts.into_iter().cycle();
        let mut next = || texts.next().unwrap().repeat(repeat);
        let amount = usd(amount_minor);
        let mut party = || Party {
            name: next(),
            address: vec![next(), next()],
            tax_ids: vec![next()],
            email: Some(next()),
        };
        let (issuer, customer) = (party(), party());
        let line = Line {
            description: next(),
            detail: Some(next()),
            period: Some(Dates { first: jiff::civil::Date::MIN, last: jiff::civil::Date::MAX }),
            quantity: next(),
            unit: next(),
            unit_price: next(),
            discount: Some(amount),
            net: amount,
            tax: next(),
        };
        let document = Document {
            kind: Kind::CreditNote { corrects: next() },
            number: next(),
            issue_date: jiff::civil::Date::MIN,
            stamp: Some(next()),
            issuer,
            customer,
            lines: vec![line; repeat],
            totals: Totals {
                subtotal: amount,
                taxes: vec![Tax { label: next(), base: amount, tax: usd(1) }; 2],
                ..invoice().totals
            },
            notes: vec![next(), next()],
            payment: Some(Payment::Transfer(Transfer {
                account: Some(Account { holder: next(), bank: next(), iban: next(), bic: next() }),
                reference: Some(next()),
            })),
            ..invoice()
        };
        let pdf = render(&document).unwrap();
        prop_assert!(lopdf::Document::load_mem(&pdf).is_ok());
    }
}
