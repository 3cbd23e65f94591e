//! Amounts as decimal text, `"99.00"`: what `PayPal` and `BTCPay` Server speak. No float comes near.

use domain::money::{Currency, Money};

/// An amount with so many digits after the point. `None`: it is negative, or cannot be said in so few.
pub(crate) fn text(amount: Money, digits: u32) -> Option<String> {
    let minor_digits = amount.currency.minor_digits();
    let mut minor = u64::try_from(amount.amount_minor).ok()?;
    // Digits that are cut off must be zeros.
    let cut = 10_u64.pow(minor_digits.saturating_sub(digits));
    if !minor.is_multiple_of(cut) {
        return None;
    }
    minor /= cut;
    let digits = digits.min(minor_digits);
    let unit = 10_u64.pow(digits);
    Some(match digits {
        0 => minor.to_string(),
        _ => format!("{}.{:0width$}", minor / unit, minor % unit, width = digits as usize),
    })
}

/// The amount that a text says, and whether it is exactly that: what is smaller than a minor unit is left off.
/// `None`: no decimal number, negative, or too great.
pub(crate) fn parse(text: &str, currency: Currency) -> Option<(Money, bool)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let digits = currency.minor_digits() as usize;
    let (kept, cut) = fraction.split_at(digits.min(fraction.len()));
    let minor: String = format!("{whole}{kept:0<digits$}");
    let amount = Money { amount_minor: minor.parse().ok()?, currency };
    Some((amount, cut.bytes().all(|byte| byte == b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(amount_minor: i64, currency: &str) -> Money {
        Money { amount_minor, currency: currency.parse().unwrap() }
    }

    #[test]
    fn amounts_as_decimals() {
        let said = |minor, currency, digits| text(money(minor, currency), digits);
        assert_eq!(said(9_900, "USD", 2).as_deref(), Some("99.00"));
        assert_eq!(said(5, "USD", 2).as_deref(), Some("0.05"));
        assert_eq!(said(500, "JPY", 0).as_deref(), Some("500"));
        assert_eq!(said(500, "JPY", 2).as_deref(), Some("500"));
        assert_eq!(said(1_500, "HUF", 0).as_deref(), Some("15"));
        assert_eq!(said(1_550, "HUF", 0), None);
        assert_eq!(said(-1, "USD", 2), None);
        let read = |text: &str, currency: &str| {
            parse(text, currency.parse().unwrap()).map(|(money, exact)| (money.amount_minor, exact))
        };
        assert_eq!(read("99.00", "USD"), Some((9_900, true)));
        assert_eq!(read("99.1", "USD"), Some((9_910, true)));
        assert_eq!(read("99", "USD"), Some((9_900, true)));
        assert_eq!(read("5.0100", "USD"), Some((501, true)));
        assert_eq!(read("5.0199", "USD"), Some((501, false)));
        assert_eq!(read("15.00", "JPY"), Some((15, true)));
        for nonsense in ["", ".5", "-1", "1e3", "1,5", "1.2.3", " 1", "99999999999999999999"] {
            assert_eq!(read(nonsense, "USD"), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn what_is_said_is_read(minor in 0..i64::MAX, code in "[A-Z]{3}") {
            let amount = money(minor, &code);
            let said = text(amount, amount.currency.minor_digits()).unwrap();
            prop_assert_eq!(parse(&said, amount.currency), Some((amount, true)));
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,40}", code in "[A-Z]{3}") {
            let _ = parse(&text, code.parse().unwrap());
        }
    }
}
