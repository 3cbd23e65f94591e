//! What an invoice says. Texts are printed as they are given, amounts with their sign: nothing is computed here but the
//! sum of the taxes.

use domain::money::{Currency, Money, MoneyError};
use jiff::civil::Date;

use crate::PdfError;

/// An invoice or a credit note, as it is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Which of the two.
    pub kind: Kind,
    /// The number in its series.
    pub number: String,
    /// The day it was issued; also the creation date of the PDF.
    pub issue_date: Date,
    /// The last day to pay, when there is something to pay.
    pub due_date: Option<Date>,
    /// The days that it is for.
    pub service_period: Option<Dates>,
    /// The currency of all its amounts.
    pub currency: Currency,
    /// A short word about its state, such as "Paid" or "Void".
    pub stamp: Option<String>,
    /// Who issued it.
    pub issuer: Party,
    /// Who is to pay.
    pub customer: Party,
    /// What is charged, in order.
    pub lines: Vec<Line>,
    /// What it comes to.
    pub totals: Totals,
    /// Paragraphs that must be read, such as "Reverse charge: …".
    pub notes: Vec<String>,
    /// How to pay, when there is something to pay.
    pub payment: Option<Payment>,
}

/// What the paper is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// It asks for money.
    Invoice,
    /// It takes back an invoice or a part of it.
    CreditNote {
        /// The number of that invoice.
        corrects: String,
    },
}

/// Days, the first and the last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dates {
    /// First day.
    pub first: Date,
    /// Last day.
    pub last: Date,
}

/// The issuer or the customer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Party {
    /// The legal name.
    pub name: String,
    /// The address, one line each.
    pub address: Vec<String>,
    /// Tax numbers with their label, such as "VAT ID DE123456789".
    pub tax_ids: Vec<String>,
    /// Where to write to.
    pub email: Option<String>,
}

/// One thing that is charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub description: String,
    /// How the amount was computed.
    pub detail: Option<String>,
    /// The days that it is for, where they are not those of the document.
    pub period: Option<Dates>,
    /// How many; may be empty.
    pub quantity: String,
    /// Of what, such as "hours"; may be empty.
    pub unit: String,
    /// The price of one unit, which may have more digits than the currency; may be empty.
    pub unit_price: String,
    /// What was taken off, negative.
    pub discount: Option<Money>,
    /// The amount without tax.
    pub net: Money,
    /// The tax rate, such as "19 %"; may be empty.
    pub tax: String,
}

/// What the document comes to. What is subtracted is negative; what is `None` is not printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// The lines before discounts of the whole document and before tax.
    pub subtotal: Money,
    /// Discounts of the whole document, negative.
    pub discount: Option<Money>,
    /// The taxes, one a rate.
    pub taxes: Vec<Tax>,
    /// With tax.
    pub total: Money,
    /// Credit of the customer that was used, negative.
    pub credit_applied: Option<Money>,
    /// What was paid, negative.
    pub paid: Option<Money>,
    /// What is still to pay.
    pub amount_due: Option<Money>,
}

/// The tax of one rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tax {
    /// Its name and rate, such as "VAT 19 %".
    pub label: String,
    /// What is taxed.
    pub base: Money,
    /// The tax.
    pub tax: Money,
}

/// How it is paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payment {
    /// It is charged to a way to pay that is on file: nobody is asked to pay it.
    OnFile,
    /// The customer transfers it.
    Transfer(Transfer),
}

/// What a transfer needs. What is `None` is not printed. Of an account and an amount in euros there is a code that banking
/// apps read, too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Where the money goes.
    pub account: Option<Account>,
    /// The creditor reference (ISO 11649), or else what tells one payment from another; the former is printed in groups
    /// of four.
    pub reference: Option<String>,
}

/// An account at a bank. What is empty is not printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Whose it is.
    pub holder: String,
    /// The name of the bank.
    pub bank: String,
    /// The account; printed in groups of four.
    pub iban: String,
    /// The bank's code.
    pub bic: String,
}

impl Kind {
    pub(crate) const fn title(&self) -> &'static str {
        match self {
            Self::Invoice => "Invoice",
            Self::CreditNote { .. } => "Credit note",
        }
    }
}

impl Document {
    fn amounts(&self) -> impl Iterator<Item = Money> {
        let totals = &self.totals;
        let lines = self.lines.iter().flat_map(|line| [Some(line.net), line.discount]);
        let taxes = totals.taxes.iter().flat_map(|tax| [Some(tax.base), Some(tax.tax)]);
        let rest = [
            Some(totals.subtotal),
            totals.discount,
            Some(totals.total),
            totals.credit_applied,
            totals.paid,
            totals.amount_due,
        ];
        lines.chain(taxes).chain(rest).flatten()
    }

    /// The columns name the currency once, so an amount in another would be read as one in this.
    pub(crate) fn check_currency(&self) -> Result<(), PdfError> {
        let expected = self.currency;
        match self.amounts().find(|amount| amount.currency != expected) {
            Some(Money { currency: found, .. }) => Err(PdfError::Currency { expected, found }),
            None => Ok(()),
        }
    }
}

impl Totals {
    /// All taxes in one amount; `None` when there are none.
    pub(crate) fn tax(&self) -> Result<Option<Money>, MoneyError> {
        let mut taxes = self.taxes.iter().map(|tax| tax.tax);
        let Some(first) = taxes.next() else { return Ok(None) };
        taxes.try_fold(first, Money::checked_add).map(Some)
    }
}
