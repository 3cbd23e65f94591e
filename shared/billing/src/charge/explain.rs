//! How an amount came to be, in words for the invoice: `3,457 messages × 0.0047`.

use super::{Rated, Step};

impl Rated {
    /// The sum in words: `10,000 messages × 0.005 + 3,457 messages × 0.004`, with the minimum where it decided.
    /// `unit` is the meter's word for one unit, as in the catalogue (`message`, `MB`).
    #[must_use]
    pub fn explain(&self, unit: &str) -> String {
        let terms: Vec<String> = self.steps.iter().map(|step| step.explain(unit)).collect();
        let sum = if terms.is_empty() { counted(0, unit) } else { terms.join(" + ") };
        match self.minimum {
            Some(minimum) => format!("{sum}, raised to the minimum of {minimum}"),
            None => sum,
        }
    }
}

impl Step {
    fn explain(&self, unit: &str) -> String {
        let counted = match self.package {
            Some(size) => {
                let packages = counted(self.quantity, "package");
                format!("{packages} of {}", counted(size.get(), unit))
            }
            None => counted(self.quantity, unit),
        };
        let flat =
            if self.flat.is_zero() { String::new() } else { format!(" + {} flat", self.flat) };
        format!("{counted} × {}{flat}", self.unit)
    }
}

/// `1 message`, `2,000 messages`, `2,000 MB`.
pub(crate) fn counted(quantity: u64, unit: &str) -> String {
    let number = grouped(quantity);
    // A symbol has no plural, and some words are given in it.
    let countable = unit.ends_with(|last: char| last.is_ascii_lowercase() && last != 's');
    if quantity == 1 || !countable {
        return format!("{number} {unit}");
    }
    match unit.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{number} {stem}ies"),
        _ => format!("{number} {unit}s"),
    }
}

/// With a comma before each three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (left, digit) in (1..=digits.len()).rev().zip(digits.chars()) {
        if left % 3 == 0 && left < digits.len() {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        let texts = [0, 7, 999, 1_000, 12_345, 123_456, 1_234_567, u64::MAX].map(grouped);
        let expected = [
            "0",
            "7",
            "999",
            "1,000",
            "12,345",
            "123,456",
            "1,234,567",
            "18,446,744,073,709,551,615",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_unit_is_written_as_its_number_asks() {
        assert_eq!(counted(1, "message"), "1 message");
        assert_eq!(
            (counted(0, "message"), counted(2_000, "message")),
            ("0 messages".into(), "2,000 messages".into())
        );
        let two = ["messages", "MB", "query", "key", ""].map(|unit| counted(2, unit));
        assert_eq!(two, ["2 messages", "2 MB", "2 queries", "2 keys", "2 "]);
    }
}
