//! What is printed on an invoice and on a credit note.

use billing::{Issuer, Line, Recipient, Rule, TaxCategory, TaxGroup, TaxTerms};
use domain::creditor_reference::CreditorReference;
use domain::money::{Currency, Money};
use domain::period::Period;
use invoice_pdf::{Account, Dates, Document, Kind, Party, Payment, Tax, Totals, Transfer};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use store::credit_notes::Issued;
use store::invoices::Full;

/// The page of an invoice, as it was finalised: what was paid since is not on it, so that it is the same for ever.
/// `None` for a draft.
pub(super) fn invoice(full: &Full) -> Option<Document> {
    let (issuer, customer) = (full.issuer.as_ref()?, full.customer.as_ref()?);
    let (number, issue_date) = (full.invoice.number.clone()?, full.issued_on?);
    let currency = full.invoice.total.currency;
    let money = |amount_minor| Money { amount_minor, currency };
    let some = |amount_minor: i64| (amount_minor != 0).then(|| money(amount_minor));
    let zone = issuer.time_zone.zone();
    let sums = full.sums;
    let due = full.invoice.total.amount_minor - sums.credit_applied_minor;
    Some(Document {
        kind: Kind::Invoice,
        payment: (due > 0).then(|| payment(issuer, &number, full.charged)),
        number,
        issue_date,
        due_date: full.invoice.due_on,
        service_period: Some(dates(full.invoice.period, zone)),
        currency,
        stamp: None,
        issuer: seller(issuer),
        customer: buyer(customer),
        lines: full.lines.iter().map(|line| printed(line, currency, zone)).collect(),
        totals: Totals {
            subtotal: money(sums.subtotal_minor),
            discount: some(-sums.discount_minor),
            taxes: full.tax_groups.iter().map(|group| tax_row(group, currency)).collect(),
            total: full.invoice.total,
            credit_applied: some(-sums.credit_applied_minor),
            paid: None,
            amount_due: Some(money(due)),
        },
        notes: notes(full.tax_groups.iter().map(|group| &group.terms)),
    })
}

/// The page of a credit note on an invoice.
pub(super) fn credit_note(note: &Issued, full: &Full) -> Option<Document> {
    let (issuer, customer) = (full.issuer.as_ref()?, full.customer.as_ref()?);
    let currency = note.total.currency;
    let money = |amount_minor| Money { amount_minor, currency };
    let lines = note.lines.iter().map(|line| invoice_pdf::Line {
        description: line.description.clone(),
        detail: Some(format!("Line {} of the invoice", line.line)),
        period: None,
        quantity: String::new(),
        unit: String::new(),
        unit_price: String::new(),
        discount: None,
        net: money(line.net_minor),
        tax: label(&line.tax),
    });
    let net = note.total.amount_minor - note.tax.amount_minor;
    let mut terms: Vec<&TaxTerms> = note.lines.iter().map(|line| &line.tax).collect();
    terms.sort();
    terms.dedup();
    let taxes = terms.iter().map(|terms| {
        let of = || note.lines.iter().filter(|line| line.tax == **terms);
        Tax {
            label: label_with_place(terms),
            base: money(of().map(|line| line.net_minor).sum()),
            tax: money(of().map(|line| line.tax_minor).sum()),
        }
    });
    let mut printed = notes(terms.iter().copied());
    printed.insert(0, format!("Reason: {}", note.reason));
    Some(Document {
        kind: Kind::CreditNote { corrects: full.invoice.number.clone()? },
        number: note.number.clone(),
        issue_date: note.issued_on,
        due_date: None,
        service_period: None,
        currency,
        stamp: None,
        issuer: seller(issuer),
        customer: buyer(customer),
        totals: Totals {
            subtotal: money(net),
            discount: None,
            taxes: taxes.collect(),
            total: note.total,
            credit_applied: None,
            paid: None,
            amount_due: None,
        },
        lines: lines.collect(),
        notes: printed,
        payment: None,
    })
}

fn printed(line: &Line, currency: Currency, zone: &TimeZone) -> invoice_pdf::Line {
    let money = |amount_minor| Money { amount_minor, currency };
    let counted = matches!(line.rule, Rule::Usage { .. } | Rule::LateUsage { .. });
    invoice_pdf::Line {
        description: line.description.clone(),
        detail: Some(line.detail.clone()).filter(|detail| !detail.is_empty()),
        period: Some(dates(line.period, zone)),
        quantity: if counted { line.counted() } else { String::new() },
        unit: String::new(),
        unit_price: line.unit_price.clone().unwrap_or_default(),
        discount: (line.discount_minor != 0).then(|| money(-line.discount_minor)),
        net: money(line.amount_minor - line.discount_minor),
        tax: label(&line.tax),
    }
}

fn label(terms: &TaxTerms) -> String {
    terms.rate.to_string()
}

/// Of a row of the tax table: why there is no tax, where there is none; and whose it is, because rates of two countries
/// may be the same.
fn label_with_place(terms: &TaxTerms) -> String {
    let label = match terms.category {
        TaxCategory::Standard | TaxCategory::ZeroRated => label(terms),
        TaxCategory::Exempt => "Exempt".to_owned(),
        TaxCategory::ReverseCharge => "Reverse charge".to_owned(),
        TaxCategory::OutsideScope => "Outside scope".to_owned(),
    };
    match &terms.jurisdiction {
        Some(place) => format!("{label} ({place})"),
        None => label,
    }
}

fn tax_row(group: &TaxGroup, currency: Currency) -> Tax {
    Tax {
        label: label_with_place(&group.terms),
        base: Money { amount_minor: group.base_minor, currency },
        tax: Money { amount_minor: group.tax_minor, currency },
    }
}

/// What the law wants said, each once.
fn notes<'a>(terms: impl Iterator<Item = &'a TaxTerms>) -> Vec<String> {
    let mut notes: Vec<String> = terms.filter_map(|terms| terms.note.clone()).collect();
    notes.sort();
    notes.dedup();
    notes
}

fn seller(issuer: &Issuer) -> Party {
    let mut address = issuer.address.clone();
    address.push(issuer.country.to_string());
    Party {
        name: issuer.name.clone(),
        address,
        tax_ids: issuer.tax_id.iter().map(|id| format!("Tax ID {id}")).collect(),
        email: issuer.email.clone(),
    }
}

fn buyer(customer: &Recipient) -> Party {
    let mut address = customer.address.clone();
    let town = [&customer.postal_code, &customer.city, &customer.region];
    let town: Vec<&str> = town.into_iter().flatten().map(String::as_str).collect();
    if !town.is_empty() {
        address.push(town.join(" "));
    }
    address.extend(customer.country.map(|country| country.to_string()));
    Party {
        name: customer.name.clone(),
        address,
        tax_ids: customer.tax_id.iter().map(|id| format!("Tax ID {id}")).collect(),
        email: customer.email.clone(),
    }
}

fn payment(issuer: &Issuer, number: &str, charged: bool) -> Payment {
    // Who is charged and sends a transfer, too, has paid twice.
    if charged {
        return Payment::OnFile;
    }
    let account = issuer.bank.as_ref().map(|bank| Account {
        holder: bank.account_holder.clone(),
        bank: bank.name.clone(),
        iban: bank.iban.clone(),
        bic: bank.bic.clone(),
    });
    let reference = CreditorReference::of_number(number);
    let reference = reference.map_or_else(|| number.to_owned(), |it| it.as_str().to_owned());
    Payment::Transfer(Transfer { account, reference: Some(reference) })
}

/// The first and the last day of a half-open period.
fn dates(period: Period, zone: &TimeZone) -> Dates {
    let day = |at: Timestamp| at.to_zoned(zone.clone()).date();
    let last = period.end.checked_sub(1.nanosecond()).unwrap_or(period.end);
    Dates { first: day(period.start), last: day(last) }
}
