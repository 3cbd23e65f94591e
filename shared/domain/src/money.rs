//! Money: integer minor units of an ISO 4217 currency. No floats, no silent overflow.

use std::fmt;
use std::str::FromStr;

/// A currency that the price catalogue may use, by its ISO 4217 code.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// Not three upper-case letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an ISO 4217 code such as `USD`")]
pub struct CurrencyError;

impl Currency {
    /// United States dollar.
    pub const USD: Self = Self(*b"USD");

    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Digits after the point: how many minor units, as a power of ten, make the unit (ISO 4217).
    #[must_use]
    pub const fn minor_digits(self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG"
            | b"RWF" | b"UGX" | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            b"CLF" | b"UYW" => 4,
            _ => 2,
        }
    }
}

impl FromStr for Currency {
    type Err = CurrencyError;

    fn from_str(text: &str) -> Result<Self, CurrencyError> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self(code)),
            _ => Err(CurrencyError),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = CurrencyError;

    fn try_from(text: String) -> Result<Self, CurrencyError> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An amount of one currency, in its minor unit (cents for USD).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units; negative for a credit.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
}

/// The operation would mix currencies or leave the range of the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Two currencies in one sum.
    #[error("cannot add amounts of two currencies")]
    CurrencyMismatch,
    /// Beyond 64 bits.
    #[error("amount out of range")]
    OutOfRange,
}

/// `USD 99.00`, `JPY 500`, `USD -1.25`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.currency.minor_digits();
        let unit = 10_u64.pow(digits);
        let sign = if self.amount_minor < 0 { "-" } else { "" };
        let amount = self.amount_minor.unsigned_abs();
        write!(f, "{} {sign}{}", self.currency, amount / unit)?;
        if digits > 0 {
            write!(f, ".{:0width$}", amount % unit, width = digits as usize)?;
        }
        Ok(())
    }
}

impl Money {
    /// The sum of two amounts of one currency.
    ///
    /// # Errors
    /// When the currencies differ or the sum is out of range.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch);
        }
        let amount_minor =
            self.amount_minor.checked_add(other.amount_minor).ok_or(MoneyError::OutOfRange)?;
        Ok(Self { amount_minor, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_shown_in_its_currencys_digits() {
        let shown = |amount_minor, currency: &str| {
            Money { amount_minor, currency: currency.parse().unwrap() }.to_string()
        };
        assert_eq!(shown(9_900, "USD"), "USD 99.00");
        assert_eq!(shown(-5, "EUR"), "EUR -0.05");
        assert_eq!(shown(500, "JPY"), "JPY 500");
        assert_eq!(shown(1_234, "KWD"), "KWD 1.234");
        assert_eq!(shown(i64::MIN, "USD"), "USD -92233720368547758.08");
    }
}
