//! One jurisdiction's rates over time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::Deserialize;

use super::ProductCategory;
use crate::tax::TaxRate;

/// A jurisdiction as the file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RatesText {
    rates: Vec<RateText>,
}

/// What holds from a day on, as the file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RateText {
    from: Date,
    standard: TaxRate,
    #[serde(default)]
    special: BTreeMap<ProductCategory, TaxRate>,
    #[serde(default)]
    untaxed: BTreeSet<ProductCategory>,
}

/// What a jurisdiction takes of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Levy {
    /// It does not tax it.
    Nothing,
    /// It does, perhaps at 0 %.
    Rate(TaxRate),
}

/// The rates of a jurisdiction: there is one for each day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rates {
    first: Rate,
    /// Each from its day on, in the order of the days.
    later: Vec<(Date, Rate)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rate {
    standard: TaxRate,
    special: BTreeMap<ProductCategory, TaxRate>,
    untaxed: BTreeSet<ProductCategory>,
}

impl Rates {
    /// `None` for no rates, days that are not in order, or a product that has a rate and is untaxed.
    pub(super) fn parse(text: RatesText) -> Option<Self> {
        let ordered = text.rates.is_sorted_by(|one, next| one.from < next.from);
        let clear = |rate: &RateText| rate.special.keys().all(|kind| !rate.untaxed.contains(kind));
        if !ordered || !text.rates.iter().all(clear) {
            return None;
        }
        let mut rates =
            text.rates.into_iter().map(|RateText { from, standard, special, untaxed }| {
                (from, Rate { standard, special, untaxed })
            });
        let (_, first) = rates.next()?;
        Some(Self { first, later: rates.collect() })
    }

    /// What is taken of a product on a day. The first rate holds for the days before it, too: a late invoice for a
    /// day that the table does not know is taxed at the nearest rate rather than not at all.
    pub(super) fn levy(&self, category: ProductCategory, day: Date) -> Levy {
        let begun = self.later.iter().rev().find(|(from, _)| *from <= day);
        let rate = begun.map_or(&self.first, |(_, rate)| rate);
        if rate.untaxed.contains(&category) {
            return Levy::Nothing;
        }
        Levy::Rate(rate.special.get(&category).copied().unwrap_or(rate.standard))
    }
}
