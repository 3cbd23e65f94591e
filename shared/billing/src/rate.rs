//! Prices of one unit of usage: exact decimals, never floats, because one often costs far less than a cent.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

use crate::rounding::OutOfRange;

/// A price of one unit of usage, in the currency's unit (dollars, not cents): exact, never negative, below 10^12
/// and of up to 12 decimal places (§2.7). Its text, `0.0047`, is the one form outside, in TOML and JSON too: a bare
/// number there would be read as a float.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(
    /// Steps of 10^-12 of the currency's unit.
    u128,
);

/// Why a text is no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Anything but digits and one point between them: signs, exponents, separators, spaces.
    #[error(
        "must be a decimal such as `0.0047`: digits and at most one point between them, no sign and no exponent"
    )]
    Form,
    /// Too large.
    #[error("must have at most {} digits before the point", Rate::INTEGER_DIGITS_MAX)]
    IntegerDigits,
    /// Too fine.
    #[error(
        "must have at most {} digits after the point; a price for a package of units may say it shorter",
        Rate::DECIMALS_MAX
    )]
    Decimals,
}

impl Rate {
    /// No price.
    pub const ZERO: Self = Self(0);
    /// Most digits before the point.
    pub const INTEGER_DIGITS_MAX: u32 = 12;
    /// Most digits after the point.
    pub const DECIMALS_MAX: u32 = 12;
    /// How many of the steps that amounts are counted in make the currency's unit.
    const STEPS: u128 = 10_u128.pow(Self::DECIMALS_MAX);

    /// Whether it costs nothing.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// What `quantity` units cost, exactly, in 10^-12 of the currency's unit.
    ///
    /// # Errors
    /// When the product is beyond 127 bits, and so beyond any amount of money.
    pub fn times(self, quantity: u64) -> Result<i128, OutOfRange> {
        let product = self.0.checked_mul(u128::from(quantity)).ok_or(OutOfRange)?;
        i128::try_from(product).map_err(|_| OutOfRange)
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (integer, decimals) = match text.split_once('.') {
            Some((integer, decimals)) => (integer, Some(decimals)),
            None => (text, None),
        };
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(integer) || !decimals.is_none_or(digits) {
            return Err(RateError::Form);
        }
        let decimals = decimals.unwrap_or_default();
        if integer.len() > Self::INTEGER_DIGITS_MAX as usize {
            return Err(RateError::IntegerDigits);
        }
        if decimals.len() > Self::DECIMALS_MAX as usize {
            return Err(RateError::Decimals);
        }
        // The digits of both parts, with the decimals filled up to all their places, are the number of steps.
        let width = Self::DECIMALS_MAX as usize;
        let steps = format!("{integer}{decimals:0<width$}");
        steps.parse().map(Self).map_err(|_| RateError::Form)
    }
}

/// The one canonical text: no zeros at the end, and no point without digits after it.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = Self::DECIMALS_MAX as usize;
        let decimals = format!("{:0width$}", self.0 % Self::STEPS);
        write!(f, "{}", self.0 / Self::STEPS)?;
        match decimals.trim_end_matches('0') {
            "" => Ok(()),
            decimals => write!(f, ".{decimals}"),
        }
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(RateVisitor)
    }
}

/// Tells those who wrote a number that quotes are missing.
struct RateVisitor;

impl Visitor<'_> for RateVisitor {
    type Value = Rate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a price in quotes such as \"0.0047\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Rate, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn a_price_is_shown_in_its_shortest_form() {
        for (text, shown) in [
            ("0", "0"),
            ("0.0047", "0.0047"),
            ("0.000000000001", "0.000000000001"),
            ("007.50", "7.5"),
            ("1.000000000000", "1"),
            ("100", "100"),
            ("999999999999.999999999999", "999999999999.999999999999"),
        ] {
            assert_eq!(rate(text).to_string(), shown);
            assert_eq!(serde_json::to_value(rate(text)).unwrap(), shown);
        }
        assert_eq!((rate("0.000"), Rate::default()), (Rate::ZERO, Rate::ZERO));
        assert!(rate("0").is_zero() && !rate("0.000000000001").is_zero());
        assert!(rate("0.009") < rate("0.01") && rate("9.99") < rate("10"));
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for bad in [
            "", ".", ".5", "5.", "-1", "+1", "1e3", "1_000", "1,5", " 1", "1 ", "1.2.3", "0x1",
            "٣", "1.٣", "NaN", "inf", "½",
        ] {
            assert_eq!(bad.parse::<Rate>(), Err(RateError::Form), "{bad:?}");
        }
        assert_eq!("1000000000000".parse::<Rate>(), Err(RateError::IntegerDigits));
        assert_eq!("0.0000000000001".parse::<Rate>(), Err(RateError::Decimals));
    }

    #[test]
    fn a_number_without_quotes_is_told_to_have_them() {
        for bare in ["0.0047", "1", "-1", "null"] {
            let error = serde_json::from_str::<Rate>(bare).unwrap_err().to_string();
            assert!(error.contains("expected a price in quotes such as \"0.0047\""), "{error}");
        }
        let error = serde_json::from_str::<Rate>("\"-1\"").unwrap_err().to_string();
        assert!(error.contains("no sign"), "{error}");
    }

    #[test]
    fn products_are_exact_or_refused() {
        assert_eq!(rate("0.0047").times(3_457), Ok(16_247_900_000_000));
        assert_eq!(rate("0.000000000001").times(u64::MAX), Ok(i128::from(u64::MAX)));
        assert_eq!(rate("999999999999.999999999999").times(u64::MAX), Err(OutOfRange));
    }

    proptest! {
        #[test]
        fn every_price_is_read_back(steps in 0..10_u128.pow(24)) {
            let rate = Rate(steps);
            prop_assert_eq!(rate.to_string().parse::<Rate>(), Ok(rate));
            let json = serde_json::to_string(&rate).unwrap();
            prop_assert_eq!(serde_json::from_str::<Rate>(&json).unwrap(), rate);
        }

        #[test]
        fn every_text_of_the_form_is_a_price_and_ordered_as_one(
            (a, b) in (0_u64..1_000_000, 0_u64..1_000_000),
        ) {
            let text = |n: u64| format!("{}.{:03}", n / 1_000, n % 1_000);
            prop_assert_eq!(rate(&text(a)).cmp(&rate(&text(b))), a.cmp(&b));
            prop_assert_eq!(rate(&text(a)).times(b), Ok(i128::from(a) * i128::from(b) * 1_000_000_000));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}", digits in "[0-9.eE+-]{0,40}", steps: u128, quantity: u64) {
            let _ = (text.parse::<Rate>(), digits.parse::<Rate>());
            let _ = (Rate(steps).times(quantity), Rate(steps).to_string());
        }
    }
}
