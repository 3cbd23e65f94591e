//! An invoice with everything on it, and a credit note to it.

use domain::money::{Currency, Money};
use jiff::civil::{Date, date};

use crate::{Account, Dates, Document, Kind, Line, Party, Payment, Tax, Totals, Transfer};

pub(super) fn usd(amount_minor: i64) -> Money {
    Money { amount_minor, currency: Currency::USD }
}

fn april() -> Dates {
    Dates { first: date(2026, 4, 1), last: date(2026, 4, 30) }
}

const ISSUED: Date = date(2026, 5, 1);

pub(super) fn line(description: &str) -> Line {
    Line {
        description: description.to_owned(),
        detail: None,
        period: None,
        quantity: "1".to_owned(),
        unit: String::new(),
        unit_price: "99.00".to_owned(),
        discount: None,
        net: usd(9_900),
        tax: "19 %".to_owned(),
    }
}

pub(super) fn invoice() -> Document {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let calls = Line {
        detail: Some("12,500,000 calls less 11,250,000 included".to_owned()),
        period: Some(april()),
        quantity: "1,250,000".to_owned(),
        unit: "calls".to_owned(),
        unit_price: "0.0047".to_owned(),
        discount: Some(usd(-2_500)),
        net: usd(585_000),
        ..line("API calls beyond the plan")
    };
    Document {
        kind: Kind::Invoice,
        number: "INV-2026-000123".to_owned(),
        issue_date: ISSUED,
        due_date: Some(date(2026, 5, 31)),
        service_period: Some(april()),
        currency: Currency::USD,
        stamp: Some("Due soon".to_owned()),
        issuer: Party {
            name: "Pytake Gateway GmbH".to_owned(),
            address: texts(&["Torstraße 1", "10119 Berlin", "Germany"]),
            tax_ids: texts(&["VAT ID DE123456789", "HRB 12345 B"]),
            email: Some("a@py.test".to_owned()),
        },
        customer: Party {
            name: "Ελληνική Εταιρεία Α.Ε.".to_owned(),
            address: texts(&["Сергей Łukasz", "Ermou 5", "105 63 Athens", "Greece"]),
            tax_ids: texts(&["VAT ID EL987654321"]),
            email: None,
        },
        lines: vec![line("Pro plan"), calls, line("Support")],
        totals: Totals {
            subtotal: usd(602_400),
            discount: Some(usd(-2_400)),
            taxes: vec![
                Tax { label: "VAT 19 %".to_owned(), base: usd(500_000), tax: usd(95_000) },
                Tax { label: "VAT 8.5 %".to_owned(), base: usd(100_000), tax: usd(8_500) },
            ],
            total: usd(703_500),
            credit_applied: Some(usd(-3_500)),
            paid: Some(usd(-100_000)),
            amount_due: Some(usd(600_000)),
        },
        notes: texts(&["Reverse charge: VAT is owed by the recipient."]),
        payment: Some(Payment::Transfer(Transfer {
            account: Some(Account {
                holder: "Pytake Holding".to_owned(),
                bank: "Musterbank".to_owned(),
                iban: "DE89370400440532013000".to_owned(),
                bic: "COBADEFFXXX".to_owned(),
            }),
            reference: Some("RF78PY2026000123".to_owned()),
        })),
    }
}

pub(super) fn credit_note() -> Document {
    Document {
        kind: Kind::CreditNote { corrects: "INV-2026-000123".to_owned() },
        number: "CN-2026-000007".to_owned(),
        due_date: None,
        stamp: None,
        lines: vec![line("Pro plan, days not used")],
        totals: Totals {
            subtotal: usd(100_000),
            discount: None,
            taxes: vec![Tax { label: "VAT 19 %".to_owned(), base: usd(100_000), tax: usd(19_000) }],
            total: usd(119_000),
            credit_applied: None,
            paid: None,
            amount_due: None,
        },
        notes: Vec::new(),
        payment: None,
        ..invoice()
    }
}
