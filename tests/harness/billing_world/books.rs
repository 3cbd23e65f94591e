//! The books that all tenants share: numbers of documents, the ledger, and recurring revenue. They change only by what
//! a step leaves when it is done, as by a transaction.

use std::collections::BTreeMap;

use anyhow::Result;
use billing::{LedgerAccount, Movement, MovementKind, Posting};
use domain::money::Currency;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What is numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Series {
    /// Invoices.
    Invoices,
    /// Credit notes.
    CreditNotes,
}

/// A number, within its series: the year of issue and the sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number {
    pub(super) series: Series,
    pub(super) year: i16,
    pub(super) sequence: u32,
}

/// Sums of the ledger's entries.
pub(super) type Balances = BTreeMap<(Currency, LedgerAccount), i64>;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Books {
    last: BTreeMap<(Series, i16), u32>,
    pub(super) ledger: Balances,
    pub(super) recurring: BTreeMap<Currency, i64>,
    pub(super) movements: BTreeMap<(Currency, MovementKind), i64>,
}

/// What a step does to the books, once it is done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Effects {
    numbers: Vec<Number>,
    postings: Vec<Posting>,
    movements: Vec<(Currency, MovementKind, i64)>,
}

/// The books as a step sees them: what it does is kept apart until it is done.
pub(super) struct Transaction<'a> {
    books: &'a Books,
    issuer: &'a TimeZone,
    effects: Effects,
}

impl Books {
    pub(super) fn begin<'a>(&'a self, issuer: &'a TimeZone) -> Transaction<'a> {
        Transaction { books: self, issuer, effects: Effects::default() }
    }

    pub(super) fn commit(&mut self, effects: Effects) {
        for number in effects.numbers {
            self.last.insert((number.series, number.year), number.sequence);
        }
        for posting in effects.postings {
            add_up(&mut self.ledger, &posting);
        }
        for (currency, kind, delta_minor) in effects.movements {
            *self.recurring.entry(currency).or_default() += delta_minor;
            *self.movements.entry((currency, kind)).or_default() += delta_minor;
        }
    }
}

impl Transaction<'_> {
    /// The next number of a series, in the issuer's year.
    pub(super) fn number(&mut self, series: Series, now: Timestamp) -> Number {
        let year = now.to_zoned(self.issuer.clone()).year();
        let mine = self.effects.numbers.iter().rev();
        let mine = mine.clone().find(|number| (number.series, number.year) == (series, year));
        let last = match mine {
            Some(number) => number.sequence,
            None => self.books.last.get(&(series, year)).copied().unwrap_or_default(),
        };
        let number = Number { series, year, sequence: last + 1 };
        self.effects.numbers.push(number);
        number
    }

    pub(super) fn post(&mut self, posting: Posting) {
        self.effects.postings.push(posting);
    }

    pub(super) fn moved(&mut self, currency: Currency, movement: Movement, returning: bool) {
        let kind = movement.kind(returning);
        self.effects.movements.push((currency, kind, movement.delta_minor()));
    }

    pub(super) fn end(self) -> Result<Effects> {
        for posting in &self.effects.postings {
            let sum: i64 = posting.entries().iter().map(|(_, amount)| amount).sum();
            anyhow::ensure!(sum == 0, "a posting of {:?} is out of balance", posting.entries());
        }
        Ok(self.effects)
    }
}

pub(super) fn add_up(balances: &mut Balances, posting: &Posting) {
    for (account, amount) in posting.entries() {
        *balances.entry((posting.currency, *account)).or_default() += amount;
    }
}
