//! Invoices and credit notes as they were issued, and what became of them.

use std::sync::Arc;

use billing::{Creditable, Fee, Invoice, Line, Rule};
use domain::id::InvoiceId;
use jiff::Timestamp;

use super::books::Number;
use super::draws::{fold, fold_minor};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Open,
    Paid,
    Uncollectible,
    Void,
}

/// Net and tax that were given back of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) net_minor: i64,
    pub(super) tax_minor: i64,
}

/// What was given back of a line: by credit notes, and by the credit lines of later invoices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Back {
    pub(super) noted: Given,
    pub(super) returned: Given,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Issued {
    pub(super) id: InvoiceId,
    pub(super) number: Number,
    pub(super) at: Timestamp,
    pub(super) invoice: Arc<Invoice>,
    /// What it read like when it was finalised.
    pub(super) print: u64,
    pub(super) status: Status,
    pub(super) paid_minor: i64,
    /// Taken off what was due, by credit notes.
    pub(super) offset_minor: i64,
    /// All that credit notes gave back.
    pub(super) noted_minor: i64,
    /// By line.
    pub(super) back: Vec<Back>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) number: Number,
    pub(super) at: Timestamp,
    pub(super) total_minor: i64,
}

impl Back {
    pub(super) const fn net_minor(self) -> i64 {
        self.noted.net_minor + self.returned.net_minor
    }

    pub(super) const fn tax_minor(self) -> i64 {
        self.noted.tax_minor + self.returned.tax_minor
    }
}

impl Issued {
    /// What is still to be paid of it, whoever expects that to happen.
    pub(super) fn due_minor(&self) -> i64 {
        if self.status == Status::Void {
            return 0;
        }
        self.invoice.due_minor - self.paid_minor - self.offset_minor
    }

    /// Its line `number`, from 1, with what was given back of it.
    pub(super) fn line(&self, number: u32) -> Option<(&Line, Back)> {
        let place = usize::try_from(number).ok()?.checked_sub(1)?;
        Some((self.invoice.lines.get(place)?, *self.back.get(place)?))
    }

    pub(super) fn back_of(&mut self, number: u32) -> Option<&mut Back> {
        self.back.get_mut(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    pub(super) fn creditables(&self) -> Vec<Creditable> {
        let lines = self.invoice.lines.iter().zip(&self.back).zip(1..);
        let back = |back: &Back| (back.net_minor(), back.tax_minor());
        lines.map(|((line, given), number)| Creditable::of(number, line, back(given))).collect()
    }

    /// Whether a line gives a fee back.
    pub(super) fn gives_back(&self) -> bool {
        self.invoice.lines.iter().any(|line| matches!(line.rule, Rule::Credit { .. }))
    }

    /// The fee that its line `number` billed, as a change now would know it; none of what was withdrawn.
    pub(super) fn fee(&self, number: u32) -> Option<Fee> {
        let (line, back) = self.line(number)?;
        let Rule::Fee(term) = &line.rule else { return None };
        if self.status == Status::Void {
            return None;
        }
        let tax_minor = if line.tax.inclusive { back.tax_minor() } else { 0 };
        Some(Fee {
            invoice_id: self.id,
            invoice_number: format!("INV-{}-{:06}", self.number.year, self.number.sequence),
            line: number,
            plan: term.plan,
            cycle: term.cycle,
            price_minor: term.price_minor,
            whole: term.whole,
            service: term.service,
            gross_minor: line.amount_minor,
            discount_minor: line.discount_minor,
            credited_minor: back.net_minor() + tax_minor,
            tax: line.tax.clone(),
        })
    }
}

/// What an invoice says, as a number: it never changes (§4.2, 6).
pub(super) fn print(invoice: &Invoice) -> u64 {
    let mut print = fold(7, invoice.lines.len() as u64);
    for line in &invoice.lines {
        for text in [&line.description, &line.detail, &line.unit] {
            print = text.bytes().fold(print, |print, byte| fold(print, u64::from(byte)));
        }
        print = fold_minor(print, line.period.start.as_second());
        print = fold_minor(print, line.period.end.as_second());
        print = fold(print, line.quantity);
        for amount in [line.amount_minor, line.discount_minor, line.net_minor, line.tax_minor] {
            print = fold_minor(print, amount);
        }
    }
    let sums = [
        invoice.subtotal_minor,
        invoice.discount_minor,
        invoice.net_minor,
        invoice.tax_minor,
        invoice.total_minor,
        invoice.credit_applied_minor,
        invoice.due_minor,
    ];
    sums.into_iter().fold(print, fold_minor)
}
