//! Tax ids. Those of the EU's and the United Kingdom's value added tax are known by their form, and by their check
//! digits where the rule is public and without exceptions. Whether one is registered only VIES can tell.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::TaxTableError;
use super::country::Country;

/// What a tax id looks like where it is a VAT id.
struct Format {
    /// How it begins; not always the country's code.
    prefix: &'static str,
    country: &'static str,
    /// What may follow: `#` is a digit, `@` a letter, `%` either, `?` a letter, `+` or `*`; all else is itself.
    patterns: &'static [&'static str],
    /// Whether the check digits of what follows are right.
    check: fn(&[u32]) -> bool,
}

/// After the European Commission's list of formats (VIES, "What is the format of a VAT number?") and, for the United
/// Kingdom, HMRC's.
const FORMATS: &[Format] = &[
    Format::of("AT", "AT", &["U########"]),
    Format { check: belgian, ..Format::of("BE", "BE", &["##########"]) },
    Format::of("BG", "BG", &["#########", "##########"]),
    Format::of("CY", "CY", &["########@"]),
    Format::of("CZ", "CZ", &["########", "#########", "##########"]),
    Format { check: mod_11_10, ..Format::of("DE", "DE", &["#########"]) },
    Format::of("DK", "DK", &["########"]),
    Format::of("EE", "EE", &["#########"]),
    Format { check: greek, ..Format::of("EL", "GR", &["#########"]) },
    Format::of("ES", "ES", &["@#######%", "########@"]),
    Format { check: finnish, ..Format::of("FI", "FI", &["########"]) },
    Format::of("FR", "FR", &["%%#########"]),
    Format { check: mod_11_10, ..Format::of("HR", "HR", &["###########"]) },
    Format::of("HU", "HU", &["########"]),
    Format::of("IE", "IE", &["#######@", "#######@@", "#?#####@"]),
    Format { check: luhn, ..Format::of("IT", "IT", &["###########"]) },
    Format::of("LT", "LT", &["#########", "############"]),
    Format { check: luxembourgish, ..Format::of("LU", "LU", &["########"]) },
    Format::of("LV", "LV", &["###########"]),
    Format::of("MT", "MT", &["########"]),
    Format::of("NL", "NL", &["#########B##"]),
    Format { check: polish, ..Format::of("PL", "PL", &["##########"]) },
    Format { check: portuguese, ..Format::of("PT", "PT", &["#########"]) },
    Format::of(
        "RO",
        "RO",
        &["##", "###", "####", "#####", "######", "#######", "########", "#########", "##########"],
    ),
    Format::of("SE", "SE", &["############"]),
    Format::of("SI", "SI", &["########"]),
    Format::of("SK", "SK", &["##########"]),
    Format::of("GB", "GB", &["#########", "############", "GD###", "HA###"]),
    // Northern Ireland, for goods; for services it is the United Kingdom.
    Format::of("XI", "GB", &["#########", "############", "GD###", "HA###"]),
];

/// A tax id, as it is printed: a VAT id without blanks and points, any other as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaxId {
    text: String,
    vat_country: Option<Country>,
}

impl TaxId {
    /// Fewest characters.
    pub const CHARS_MIN: usize = 2;
    /// Most characters.
    pub const CHARS_MAX: usize = 30;

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The country whose VAT id it is, of the EU and the United Kingdom; by its form, not by a register. `GR` for
    /// one that begins with `EL`, `GB` for `XI`.
    #[must_use]
    pub const fn vat_country(&self) -> Option<Country> {
        self.vat_country
    }
}

/// What begins like a VAT id, with the prefix and a digit, must be one. Others are free: a Mexican RFC may begin with
/// `SK` and a letter.
impl FromStr for TaxId {
    type Err = TaxTableError;

    fn from_str(text: &str) -> Result<Self, TaxTableError> {
        let text = text.trim_matches(' ');
        let printable = |c: char| c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ';
        if !(Self::CHARS_MIN..=Self::CHARS_MAX).contains(&text.chars().count())
            || !text.chars().all(printable)
        {
            return Err(TaxTableError::TaxId);
        }
        let compact: String = text.chars().filter(|c| !matches!(c, ' ' | '.' | '-')).collect();
        let compact = compact.to_ascii_uppercase();
        for format in FORMATS {
            let Some(rest) = compact.strip_prefix(format.prefix) else { continue };
            let country = format.country.parse()?;
            if format.fits(rest) {
                return Ok(Self { text: compact, vat_country: Some(country) });
            }
            if rest.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(TaxTableError::VatId(country));
            }
        }
        Ok(Self { text: text.to_owned(), vat_country: None })
    }
}

impl TryFrom<String> for TaxId {
    type Error = TaxTableError;

    fn try_from(text: String) -> Result<Self, TaxTableError> {
        text.parse()
    }
}

impl From<TaxId> for String {
    fn from(id: TaxId) -> Self {
        id.text
    }
}

impl fmt::Display for TaxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Format {
    const fn of(
        prefix: &'static str,
        country: &'static str,
        patterns: &'static [&'static str],
    ) -> Self {
        Self { prefix, country, patterns, check: |_| true }
    }

    fn fits(&self, rest: &str) -> bool {
        let digits: Vec<u32> = rest.chars().filter_map(|c| c.to_digit(10)).collect();
        self.patterns.iter().any(|pattern| matches(pattern, rest)) && (self.check)(&digits)
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    let fits = |(wanted, found): (u8, u8)| match wanted {
        b'#' => found.is_ascii_digit(),
        b'@' => found.is_ascii_uppercase(),
        b'%' => found.is_ascii_digit() || found.is_ascii_uppercase(),
        b'?' => found.is_ascii_uppercase() || found == b'+' || found == b'*',
        _ => wanted == found,
    };
    pattern.len() == text.len() && pattern.bytes().zip(text.bytes()).all(fits)
}

/// ISO 7064, MOD 11,10: Germany and Croatia.
fn mod_11_10(digits: &[u32]) -> bool {
    let Some((last, digits)) = digits.split_last() else { return false };
    let product = digits.iter().fold(10, |product, digit| {
        let sum = (product + digit) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (product + last) % 10 == 1
}

/// Mod 10, every second digit from the right doubled: Italy.
fn luhn(digits: &[u32]) -> bool {
    let doubled = |digit: u32| digit * 2 / 10 + digit * 2 % 10;
    let digits = digits.iter().rev().enumerate();
    let sum: u32 =
        digits.map(|(place, digit)| if place % 2 == 1 { doubled(*digit) } else { *digit }).sum();
    sum.is_multiple_of(10)
}

/// All but the last two digits as a number, and these two. Of at most ten digits, or the number wraps.
fn last_two(digits: &[u32]) -> (u32, u32) {
    let (number, check) = digits.split_at(digits.len().saturating_sub(2));
    let value = |digits: &[u32]| {
        digits.iter().fold(0_u32, |value, digit| value.wrapping_mul(10).wrapping_add(*digit))
    };
    (value(number), value(check))
}

fn belgian(digits: &[u32]) -> bool {
    let (number, check) = last_two(digits);
    97 - number % 97 == check
}

fn luxembourgish(digits: &[u32]) -> bool {
    let (number, check) = last_two(digits);
    number % 89 == check
}

/// The digits times their weights; and the last one, which has none.
fn weighed(digits: &[u32], weights: &[u32]) -> (u32, Option<u32>) {
    (digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum(), digits.last().copied())
}

fn greek(digits: &[u32]) -> bool {
    let (sum, last) = weighed(digits, &[256, 128, 64, 32, 16, 8, 4, 2]);
    Some(sum % 11 % 10) == last
}

fn finnish(digits: &[u32]) -> bool {
    let (sum, last) = weighed(digits, &[7, 9, 10, 5, 8, 4, 2]);
    Some((11 - sum % 11) % 11) == last
}

fn polish(digits: &[u32]) -> bool {
    let (sum, last) = weighed(digits, &[6, 5, 7, 2, 3, 4, 5, 6, 7]);
    Some(sum % 11) == last
}

fn portuguese(digits: &[u32]) -> bool {
    let (sum, last) = weighed(digits, &[9, 8, 7, 6, 5, 4, 3, 2]);
    Some((11 - sum % 11) % 11 % 10) == last
}
