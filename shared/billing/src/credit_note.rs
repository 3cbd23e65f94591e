//! Credit notes: what is taken back of an invoice that can no longer change (§2.13).

use serde::{Deserialize, Serialize};

use crate::invoice::Line;
use crate::rounding::OutOfRange;
use crate::tax::{TaxError, TaxTerms, credited};

/// A line of a finalised invoice, and what was taken back of it already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creditable {
    /// Its number on the invoice, from 1.
    pub line: u32,
    /// What it is for.
    pub description: String,
    /// Its net.
    pub net_minor: i64,
    /// Its tax.
    pub tax_minor: i64,
    /// Net taken back already, by credit notes and by later invoices that gave unused time back.
    pub credited_minor: i64,
    /// Tax taken back with it.
    pub credited_tax_minor: i64,
    /// How it was taxed.
    pub tax: TaxTerms,
}

impl Creditable {
    /// Line `number` of an invoice.
    #[must_use]
    pub fn of(number: u32, line: &Line, (credited_minor, credited_tax_minor): (i64, i64)) -> Self {
        Self {
            line: number,
            description: line.description.clone(),
            net_minor: line.net_minor,
            tax_minor: line.tax_minor,
            credited_minor,
            credited_tax_minor,
            tax: line.tax.clone(),
        }
    }

    /// Net that can still be taken back.
    #[must_use]
    pub const fn left_minor(&self) -> i64 {
        self.net_minor.saturating_sub(self.credited_minor)
    }
}

/// A line of a credit note. Amounts are positive: what the customer gets back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditNoteLine {
    /// The invoice's line.
    pub line: u32,
    /// What it was for.
    pub description: String,
    /// Net.
    pub net_minor: i64,
    /// Tax, so that what is taken back in parts adds up to the line's tax exactly.
    pub tax_minor: i64,
    /// How the line was taxed.
    pub tax: TaxTerms,
}

/// A credit note. Amounts are minor units of the invoice's currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditNote {
    /// Its lines.
    pub lines: Vec<CreditNoteLine>,
    /// Net.
    pub net_minor: i64,
    /// Tax.
    pub tax_minor: i64,
    /// Both.
    pub total_minor: i64,
    /// What it takes off what is still due of the invoice.
    pub offset_minor: i64,
    /// What goes to the customer's balance, as it was paid already.
    pub balance_minor: i64,
}

/// Why there can be no such credit note.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreditNoteError {
    /// Nothing, or less.
    #[error("line {0}: the amount must be positive")]
    NotPositive(u32),
    /// More than the line has left.
    #[error("line {line}: at most {left_minor} can still be credited")]
    TooMuch {
        /// The line.
        line: u32,
        /// Net that is left.
        left_minor: i64,
    },
    /// No such line.
    #[error("the invoice has no line {0}")]
    NoSuchLine(u32),
    /// No line at all.
    #[error("name at least one line")]
    Empty,
    /// Tax.
    #[error(transparent)]
    Tax(#[from] TaxError),
    /// Amounts.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
}

/// A credit note for `wished` (line, net amount) of an invoice of which `due_minor` is still to be paid: first the
/// unpaid part is offset, the rest goes to the balance.
///
/// # Errors
/// When a line has not that much left, or is named wrongly.
pub fn credit_note(
    lines: &[Creditable],
    wished: &[(u32, i64)],
    due_minor: i64,
) -> Result<CreditNote, CreditNoteError> {
    // What an invoice took off by lines of its own (a cap, what was billed before) was never billed: of all lines
    // together no more can be taken back than they come to.
    let mut whole_left =
        lines.iter().try_fold(0_i64, |sum, line| sum.checked_add(line.left_minor()));
    let taxes = lines.iter().map(|line| line.tax_minor.saturating_sub(line.credited_tax_minor));
    let mut tax_left = taxes.fold(0_i64, i64::saturating_add);
    let mut taken: Vec<CreditNoteLine> = Vec::with_capacity(wished.len());
    for (number, net_minor) in wished.iter().copied() {
        let line = lines.iter().find(|line| line.line == number);
        let line = line.ok_or(CreditNoteError::NoSuchLine(number))?;
        if net_minor <= 0 {
            return Err(CreditNoteError::NotPositive(number));
        }
        // A line that is named twice has less left the second time.
        let before: i64 =
            taken.iter().filter(|one| one.line == number).map(|one| one.net_minor).sum();
        let before = line.credited_minor.checked_add(before).ok_or(OutOfRange)?;
        let whole = whole_left.ok_or(OutOfRange)?;
        let left_minor = line.net_minor.saturating_sub(before).min(whole);
        if net_minor > left_minor {
            return Err(CreditNoteError::TooMuch { line: number, left_minor });
        }
        let tax_minor = tax(line, &taken, before, net_minor)?.min(tax_left.max(0));
        taken.push(CreditNoteLine {
            line: number,
            description: line.description.clone(),
            net_minor,
            tax_minor,
            tax: line.tax.clone(),
        });
        whole_left = whole.checked_sub(net_minor);
        tax_left -= tax_minor;
    }
    if taken.is_empty() {
        return Err(CreditNoteError::Empty);
    }
    let add = |sum: i64, amount: i64| sum.checked_add(amount).ok_or(OutOfRange);
    let net_minor = taken.iter().try_fold(0, |sum, line| add(sum, line.net_minor))?;
    let tax_minor = taken.iter().try_fold(0, |sum, line| add(sum, line.tax_minor))?;
    let total_minor = add(net_minor, tax_minor)?;
    let offset_minor = total_minor.min(due_minor.max(0));
    let balance_minor = total_minor - offset_minor;
    Ok(CreditNote { lines: taken, net_minor, tax_minor, total_minor, offset_minor, balance_minor })
}

/// The tax of `net_minor` of a line of which `before` was taken back. The last part takes what is left of the line's
/// tax, and none takes more: unused time was given back at a rounding of its own.
fn tax(
    line: &Creditable,
    taken: &[CreditNoteLine],
    before: i64,
    net_minor: i64,
) -> Result<i64, CreditNoteError> {
    let now: i64 = taken.iter().filter(|one| one.line == line.line).map(|one| one.tax_minor).sum();
    let gone = line.credited_tax_minor.checked_add(now).ok_or(OutOfRange)?;
    let left = line.tax_minor.saturating_sub(gone).max(0);
    if before.checked_add(net_minor) == Some(line.net_minor) {
        return Ok(left);
    }
    Ok(credited(line.net_minor, line.tax_minor, before, net_minor)?.min(left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(net_minor: i64, tax_minor: i64) -> Creditable {
        Creditable {
            line: 1,
            description: "Pro, monthly".to_owned(),
            net_minor,
            tax_minor,
            credited_minor: 0,
            credited_tax_minor: 0,
            tax: TaxTerms::none(),
        }
    }

    #[test]
    fn of_a_part_paid_invoice_the_unpaid_part_is_offset_and_the_rest_goes_to_the_balance() {
        // Invoice 10,000, paid 4,000, credit note 7,000 (§2.13).
        let note = credit_note(&[line(10_000, 0)], &[(1, 7_000)], 6_000).unwrap();
        assert_eq!((note.offset_minor, note.balance_minor), (6_000, 1_000));
    }

    #[test]
    fn no_more_than_a_line_has_left() {
        let lines = [Creditable { credited_minor: 60, ..line(100, 19) }];
        let error = |wished: &[(u32, i64)]| credit_note(&lines, wished, 0).unwrap_err();
        assert_eq!(error(&[(1, 41)]), CreditNoteError::TooMuch { line: 1, left_minor: 40 });
        assert_eq!(
            error(&[(1, 30), (1, 11)]),
            CreditNoteError::TooMuch { line: 1, left_minor: 10 }
        );
        assert_eq!(error(&[(2, 1)]), CreditNoteError::NoSuchLine(2));
        assert_eq!(error(&[(1, 0)]), CreditNoteError::NotPositive(1));
        assert_eq!(error(&[]), CreditNoteError::Empty);
    }

    proptest! {
        #[test]
        fn parts_add_up_to_the_line_with_its_tax(
            parts in proptest::collection::vec(1_i64..5_000, 1..12),
            tax_per_mille in 0_i64..300,
        ) {
            let net_minor: i64 = parts.iter().sum();
            let tax_minor = net_minor * tax_per_mille / 1_000;
            let mut line = line(net_minor, tax_minor);
            let (mut net, mut tax) = (0, 0);
            for part in parts {
                let note = credit_note(std::slice::from_ref(&line), &[(1, part)], 0).unwrap();
                line.credited_minor += part;
                line.credited_tax_minor += note.tax_minor;
                net += note.net_minor;
                tax += note.tax_minor;
                prop_assert!(tax <= tax_minor);
            }
            prop_assert_eq!((net, tax), (net_minor, tax_minor));
        }
    }
}
