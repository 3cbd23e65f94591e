//! What tax a line bears: terms in, net and tax out, rounded once per group of equal terms (EN 16931, §2.8); and the
//! part of it that a credit gives back. Which terms apply is `tax_table`'s. Never a float, never a cent too many.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::rounding::{OutOfRange, apportion, part};

/// Why there is no tax to be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaxError {
    /// An amount is beyond 64 bits.
    #[error("a tax amount is out of range: split the invoice")]
    OutOfRange(#[from] OutOfRange),
    /// Not a rate.
    #[error(
        "a tax rate must be per cent from 0 to 100 with at most four digits after the point, such as `19` or `8.875`"
    )]
    Rate,
    /// EN 16931, BR-S-5 and its like: only S has a rate, and it has one.
    #[error(
        "tax category {} cannot have a rate of {rate}: only S has a rate, above zero; mend the line's tax terms",
        category.code()
    )]
    RateOfCategory {
        /// The category.
        category: TaxCategory,
        /// The rate that it came with.
        rate: TaxRate,
    },
    /// More would be credited than was billed, or with the wrong sign.
    #[error(
        "a credit must be between 0 and the {left_minor} minor units that are left of the line"
    )]
    Credit {
        /// What can be credited yet, in minor units before tax, of the line's sign.
        left_minor: i64,
    },
    /// The line is all tax, so no part of its net says what part of its tax is meant.
    #[error(
        "a line of no net but {tax_minor} minor units of tax must be credited by its gross amount"
    )]
    AllTax {
        /// The line's tax in minor units.
        tax_minor: i64,
    },
}

/// Categories of EN 16931, coded by UNCL5305.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxCategory {
    /// Any rate above zero, a reduced one too.
    Standard,
    /// Taxed, at 0 %.
    ZeroRated,
    /// Free of tax for what it is or for who buys it.
    Exempt,
    /// The buyer owes the tax.
    ReverseCharge,
    /// No tax of the seller's to speak of.
    OutsideScope,
}

impl TaxCategory {
    /// The code that goes on an electronic invoice (UNCL5305).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Standard => "S",
            Self::ZeroRated => "Z",
            Self::Exempt => "E",
            Self::ReverseCharge => "AE",
            Self::OutsideScope => "O",
        }
    }

    /// The name on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::ZeroRated => "zero_rated",
            Self::Exempt => "exempt",
            Self::ReverseCharge => "reverse_charge",
            Self::OutsideScope => "outside_scope",
        }
    }
}

/// A share of the net, in millionths: 190,000 is 19 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaxRate(u32);

impl TaxRate {
    /// 0 %.
    pub const ZERO: Self = Self(0);
    /// Millionths of the whole, and the highest rate: 100 %.
    pub const MILLIONTHS_MAX: u32 = 1_000_000;
    /// Millionths of one per cent.
    const PER_CENT: u32 = Self::MILLIONTHS_MAX / 100;

    /// The rate of so many millionths.
    ///
    /// # Errors
    /// When it is above 100 %.
    pub const fn from_millionths(millionths: u32) -> Result<Self, TaxError> {
        if millionths > Self::MILLIONTHS_MAX {
            return Err(TaxError::Rate);
        }
        Ok(Self(millionths))
    }

    /// The rate in millionths.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// Per cent as a plain decimal: `8.875`.
    fn per_cent(self) -> String {
        let (whole, rest) = (self.0 / Self::PER_CENT, self.0 % Self::PER_CENT);
        let text = format!("{whole}.{rest:04}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// `19 %`, `8.875 %`.
impl fmt::Display for TaxRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.per_cent())
    }
}

/// Per cent: `19`, `8.875`.
impl FromStr for TaxRate {
    type Err = TaxError;

    fn from_str(text: &str) -> Result<Self, TaxError> {
        let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole, 3) || !digits(rest, 4) {
            return Err(TaxError::Rate);
        }
        let number = |text: &str| text.parse::<u32>().map_err(|_| TaxError::Rate);
        // At most 999 × 10,000 + 9,999.
        Self::from_millionths(number(whole)? * Self::PER_CENT + number(&format!("{rest:0<4}"))?)
    }
}

impl TryFrom<String> for TaxRate {
    type Error = TaxError;

    fn try_from(text: String) -> Result<Self, TaxError> {
        text.parse()
    }
}

impl From<TaxRate> for String {
    fn from(rate: TaxRate) -> Self {
        rate.per_cent()
    }
}

/// What applies to one line: the snapshot that is stored with it, so that a credit of it is taxed as it was (§2.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaxTerms {
    /// Why the rate is what it is.
    pub category: TaxCategory,
    /// Above zero for `Standard`, zero for all others.
    pub rate: TaxRate,
    /// Whether prices include the tax.
    pub inclusive: bool,
    /// Whose tax it is: `DE`, `US-NY`.
    pub jurisdiction: Option<String>,
    /// What the law wants said on the invoice.
    pub note: Option<String>,
}

impl TaxTerms {
    /// No tax and nothing to say about it.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            category: TaxCategory::OutsideScope,
            rate: TaxRate::ZERO,
            inclusive: false,
            jurisdiction: None,
            note: None,
        }
    }

    /// The tax on `amount_minor`, as a numerator over [`Self::denominator`].
    fn numerator(&self, amount_minor: i64) -> i128 {
        i128::from(amount_minor) * i128::from(self.rate.0)
    }

    /// The whole; and with the tax, where the amount has it in it: `gross × r / (1 + r)`.
    fn denominator(&self) -> i128 {
        let included = if self.inclusive { self.rate.0 } else { 0 };
        i128::from(TaxRate::MILLIONTHS_MAX) + i128::from(included)
    }

    /// Refuses what EN 16931 has no invoice for.
    fn check(&self) -> Result<(), TaxError> {
        if (self.category == TaxCategory::Standard) == (self.rate > TaxRate::ZERO) {
            return Ok(());
        }
        Err(TaxError::RateOfCategory { category: self.category, rate: self.rate })
    }
}

/// A line after tax; gross is net + tax, which fits 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Taxed {
    /// Without tax, in minor units.
    pub net_minor: i64,
    /// The tax, in minor units.
    pub tax_minor: i64,
}

impl Taxed {
    /// What the line's amount means once its tax is known.
    fn of(terms: &TaxTerms, amount_minor: i64, tax_minor: i64) -> Result<Self, OutOfRange> {
        if terms.inclusive {
            let net_minor = amount_minor.checked_sub(tax_minor).ok_or(OutOfRange)?;
            return Ok(Self { net_minor, tax_minor });
        }
        amount_minor.checked_add(tax_minor).ok_or(OutOfRange)?;
        Ok(Self { net_minor: amount_minor, tax_minor })
    }
}

/// One row of an invoice's tax table, as it is stored with the invoice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaxGroup {
    /// What its lines have in common. Where their notes differ, all of them, a line each.
    pub terms: TaxTerms,
    /// The lines' net in minor units.
    pub base_minor: i64,
    /// The lines' tax in minor units.
    pub tax_minor: i64,
}

/// An invoice after tax.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Levied {
    /// In the order of the lines.
    pub lines: Vec<Taxed>,
    /// In the order of their terms: by category, rate, inclusion and jurisdiction.
    pub groups: Vec<TaxGroup>,
}

/// What makes lines one group: all of the terms but the note. Two wordings of one law must not round twice.
type GroupKey<'a> = (TaxCategory, TaxRate, bool, Option<&'a str>);

/// A line's place on the invoice, terms and amount.
type Line<'a> = (usize, &'a TaxTerms, i64);

/// The tax on `lines`: terms, and amount after discounts in minor units; negative for a credit. Rounded half away from
/// zero once per group, and spread over its lines by largest remainder, ties to the earlier line (§2.8). The
/// tax is what is rounded; of prices that include it, the net is the rest.
///
/// # Errors
/// When an amount leaves 64 bits, or a category has a rate that it cannot have.
pub fn levy(lines: &[(&TaxTerms, i64)]) -> Result<Levied, TaxError> {
    let mut members: BTreeMap<GroupKey<'_>, Vec<Line<'_>>> = BTreeMap::new();
    for (place, (terms, amount_minor)) in lines.iter().enumerate() {
        terms.check()?;
        let key = (terms.category, terms.rate, terms.inclusive, terms.jurisdiction.as_deref());
        members.entry(key).or_default().push((place, terms, *amount_minor));
    }
    let mut groups = Vec::with_capacity(members.len());
    let mut taxed = Vec::with_capacity(lines.len());
    for members in members.into_values() {
        groups.extend(levy_group(&members, &mut taxed)?);
    }
    taxed.sort_unstable_by_key(|(place, _)| *place);
    Ok(Levied { lines: taxed.into_iter().map(|(_, line)| line).collect(), groups })
}

/// Taxes the lines of one group into `taxed`, beside their places; no group without lines.
fn levy_group(
    members: &[Line<'_>],
    taxed: &mut Vec<(usize, Taxed)>,
) -> Result<Option<TaxGroup>, TaxError> {
    let Some((_, terms, _)) = members.first() else { return Ok(None) };
    let parts: Vec<i128> = members.iter().map(|(_, _, amount)| terms.numerator(*amount)).collect();
    let (tax_minor, shares) = apportion(&parts, terms.denominator())?;
    let mut base = 0_i128;
    for ((place, _, amount_minor), share) in members.iter().zip(shares) {
        let line = Taxed::of(terms, *amount_minor, share)?;
        base += i128::from(line.net_minor);
        taxed.push((*place, line));
    }
    let base_minor = i64::try_from(base).map_err(|_| OutOfRange)?;
    base_minor.checked_add(tax_minor).ok_or(OutOfRange)?;
    let notes: BTreeSet<&str> =
        members.iter().filter_map(|(_, terms, _)| terms.note.as_deref()).collect();
    let notes: Vec<&str> = notes.into_iter().collect();
    let note = (!notes.is_empty()).then(|| notes.join("\n"));
    Ok(Some(TaxGroup { terms: TaxTerms { note, ..(*terms).clone() }, base_minor, tax_minor }))
}

/// The tax that a credit of `credit_minor` of a line's net gives back, of which `before_minor` was credited already:
/// the difference of the cumulative, `R(tax·(before + credit)/net) − R(tax·before/net)` (§2.8). So credits never
/// give back more than the line's tax, and the last one takes the rest. All in minor units and of the line's sign.
///
/// A line whose price includes tax may be measured by its gross instead, in all three amounts.
///
/// # Errors
/// When the credits exceed the line or have another sign than it, or it has tax but no net.
pub fn credited(
    net_minor: i64,
    tax_minor: i64,
    before_minor: i64,
    credit_minor: i64,
) -> Result<i64, TaxError> {
    let within = |amount: i64, whole: i64| {
        if whole < 0 { (whole..=0).contains(&amount) } else { (0..=whole).contains(&amount) }
    };
    if !within(before_minor, net_minor) {
        return Err(TaxError::Credit { left_minor: 0 });
    }
    let left_minor = net_minor.checked_sub(before_minor).ok_or(OutOfRange)?;
    if !within(credit_minor, left_minor) {
        return Err(TaxError::Credit { left_minor });
    }
    if net_minor == 0 {
        return if tax_minor == 0 { Ok(0) } else { Err(TaxError::AllTax { tax_minor }) };
    }
    let after_minor = before_minor.checked_add(credit_minor).ok_or(OutOfRange)?;
    let (before, after) =
        (part(tax_minor, before_minor, net_minor)?, part(tax_minor, after_minor, net_minor)?);
    Ok(after.checked_sub(before).ok_or(OutOfRange)?)
}
