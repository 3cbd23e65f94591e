//! Creditor references (ISO 11649): what a payer writes into a transfer, and what a statement tells it back by. Derived
//! from the invoice's number, so that there is nothing to store and nothing to allocate.

use std::fmt;
use std::str::FromStr;

/// What every one begins with.
const PREFIX: &str = "RF";
/// The prefix and the two check digits.
const HEAD_LEN: usize = 4;

/// `RF78PY2026000123`: `RF`, two check digits, and the number without its separators.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CreditorReference(String);

/// The text is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a creditor reference such as `RF78PY2026000123`")]
pub struct CreditorReferenceError;

impl CreditorReference {
    /// Longest, as ISO 11649 has it.
    pub const LEN_MAX: usize = 25;

    /// That of an invoice's number, such as `INV-2026-000123`. `None`: the number is too long for one, or empty.
    #[must_use]
    pub fn of_number(number: &str) -> Option<Self> {
        let bare = bare(number);
        if !(1..=Self::LEN_MAX - HEAD_LEN).contains(&bare.len()) {
            return None;
        }
        Some(Self(format!("{PREFIX}{:02}{bare}", check_digits(&bare))))
    }

    /// As machines exchange it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number that it was made of, without its separators.
    #[must_use]
    pub fn number(&self) -> &str {
        &self.0[HEAD_LEN..]
    }

    /// All that a text may mean, however it is spaced or broken into lines. What follows a reference without a gap may
    /// happen to fit its check digits, too; so of one begin there may be several, the longest first.
    #[must_use]
    pub fn all_in(text: &str) -> Vec<Self> {
        let bare = bare(text);
        let mut found = Vec::new();
        for (at, _) in bare.match_indices(PREFIX) {
            let rest = &bare[at..];
            for len in (HEAD_LEN + 1..=rest.len().min(Self::LEN_MAX)).rev() {
                found.extend(rest[..len].parse::<Self>());
            }
        }
        found
    }
}

/// Spaces are left out, and small letters are as good as capital ones.
impl FromStr for CreditorReference {
    type Err = CreditorReferenceError;

    fn from_str(text: &str) -> Result<Self, CreditorReferenceError> {
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let compact = compact.to_ascii_uppercase();
        if !compact.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(CreditorReferenceError);
        }
        // Made anew of its number: so the check digits are those that belong to it, and no others that happen to fit.
        let number = compact.get(HEAD_LEN..).ok_or(CreditorReferenceError)?;
        Self::of_number(number).filter(|made| made.0 == compact).ok_or(CreditorReferenceError)
    }
}

/// In groups of four, as people read it.
impl fmt::Display for CreditorReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, character) in self.0.chars().enumerate() {
            if place > 0 && place.is_multiple_of(4) {
                f.write_str(" ")?;
            }
            fmt::Write::write_char(f, character)?;
        }
        Ok(())
    }
}

/// Its letters and digits, capital.
fn bare(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

/// MOD 97-10 (ISO 7064) of the number and `RF00`, each letter as two digits from A = 10.
fn check_digits(bare: &str) -> u32 {
    let step = |rest: u32, character: char| {
        let value = character.to_digit(36).unwrap_or_default();
        (rest * if value < 10 { 10 } else { 100 } + value) % 97
    };
    98 - bare.chars().chain("RF00".chars()).fold(0, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(number: &str) -> CreditorReference {
        CreditorReference::of_number(number).unwrap()
    }

    #[test]
    fn known_references_come_out() {
        assert_eq!(of("PY2026000123").as_str(), "RF78PY2026000123");
        assert_eq!(of("py-2026-000123"), of("PY2026000123"));
        // The example of ISO 11649.
        assert_eq!(of("539007547034").as_str(), "RF18539007547034");
        assert_eq!(of("539007547034").to_string(), "RF18 5390 0754 7034");
        assert_eq!(of("INV-2026-000123").number(), "INV2026000123");
    }

    #[test]
    fn a_number_that_does_not_fit_has_none() {
        assert_eq!(CreditorReference::of_number(" - "), None);
        assert!(CreditorReference::of_number(&"9".repeat(21)).is_some());
        assert_eq!(CreditorReference::of_number(&"9".repeat(22)), None);
    }

    #[test]
    fn what_a_payer_types_is_understood_and_a_slip_is_not() {
        let parsed = |text: &str| text.parse::<CreditorReference>();
        assert_eq!(parsed(" rf78 PY20 2600 0123\n"), Ok(of("PY2026000123")));
        for slip in ["RF79PY2026000123", "RF78PY2026000132", "78PY2026000123", "RF78", "RF78é", ""]
        {
            assert!(parsed(slip).is_err(), "{slip}");
        }
    }

    #[test]
    fn references_are_found_wherever_they_are_in_a_text() {
        let found = |text: &str| CreditorReference::all_in(text);
        let wanted = of("PY2026000123");
        for text in [
            "Rechnung RF78 PY20 2600 0123 danke",
            "RECHNUNGRF78PY2026000123DANKE",
            "inv rf78-py20 2600\n0123, thanks",
            "RFRF78PY2026000123",
        ] {
            assert!(found(text).contains(&wanted), "{text}");
        }
        assert_eq!(found("no reference, RF and RF12"), []);
        let two = format!("{wanted} and {}", of("PY2026000124"));
        assert!(found(&two).contains(&wanted) && found(&two).contains(&of("PY2026000124")));
    }

    proptest! {
        #[test]
        fn every_number_has_one_that_is_parsed_back(number in "[A-Z0-9]{1,21}") {
            let reference = of(&number);
            prop_assert_eq!(reference.number(), number);
            prop_assert_eq!(reference.to_string().parse(), Ok(reference.clone()));
            let found = CreditorReference::all_in(&format!("x {reference} y"));
            prop_assert!(found.contains(&reference));
        }

        /// MOD 97-10 finds every digit that was taken for another, and every letter.
        #[test]
        fn one_wrong_character_is_noticed(number in "[A-Z0-9]{1,21}", at: prop::sample::Index, other in "[A-Z0-9]") {
            let reference = of(&number).0;
            let at = at.index(reference.len());
            let digit = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            prop_assume!(digit(&reference[at..=at]) == digit(&other));
            let mut slip = reference.clone();
            slip.replace_range(at..=at, &other);
            prop_assert_eq!(slip.parse::<CreditorReference>().is_ok(), slip == reference);
        }

        #[test]
        fn any_text_is_searched_without_panic(text in ".{0,200}") {
            for found in CreditorReference::all_in(&text) {
                prop_assert!(found.as_str().parse::<CreditorReference>().is_ok());
            }
        }
    }
}
