//! Amounts in Stripe's form: whole minor units, but not always ISO 4217's minor units
//! (docs.stripe.com/currencies, "Zero-decimal currencies", "Special cases", "Minimum and maximum charge amounts").

use domain::money::{Currency, Money};

/// Digits after the point that Stripe counts in. Against ISO 4217: the ariary has none; the króna and the Ugandan
/// shilling, which have none any more, keep two that must be zeros.
fn digits(currency: Currency) -> u32 {
    match currency.as_str() {
        "BIF" | "CLP" | "DJF" | "GNF" | "JPY" | "KMF" | "KRW" | "MGA" | "PYG" | "RWF" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// What an amount must be a multiple of, in our minor units.
pub(super) fn step(currency: Currency) -> i64 {
    let (ours, theirs) = (currency.minor_digits(), digits(currency));
    if theirs == 3 {
        // "The least-significant (last) digit must be 0": so want the networks.
        return 10;
    }
    10_i64.pow(ours.saturating_sub(theirs))
}

/// The least that is charged, in our minor units. Of others it is what half a dollar is worth on the day, which only
/// Stripe knows: half a unit keeps coins away, and what is still too little is refused by Stripe.
pub(super) fn min(currency: Currency) -> i64 {
    let published = match currency.as_str() {
        "AED" | "MYR" | "PLN" | "RON" => 200,
        "AUD" | "BRL" | "CAD" | "CHF" | "EUR" | "INR" | "NZD" | "SGD" | "USD" => 50,
        "BGN" => 100,
        "CZK" => 1_500,
        "DKK" => 250,
        "GBP" => 30,
        "HKD" => 400,
        "HUF" => 17_500,
        "JPY" => 50,
        "MXN" | "THB" => 1_000,
        "NOK" | "SEK" => 300,
        _ => 10_i64.pow(currency.minor_digits()) / 2,
    };
    published.max(step(currency))
}

/// In Stripe's form. `None`: it cannot be said in it.
pub(super) fn to_stripe(amount: Money) -> Option<i64> {
    let step = step(amount.currency);
    if amount.amount_minor % step != 0 {
        return None;
    }
    let (ours, theirs) = (amount.currency.minor_digits(), digits(amount.currency));
    if ours >= theirs {
        Some(amount.amount_minor / 10_i64.pow(ours - theirs))
    } else {
        amount.amount_minor.checked_mul(10_i64.pow(theirs - ours))
    }
}

/// From Stripe's form. `None`: no currency, out of range, or a fraction of what has none.
pub(super) fn from_stripe(amount: i64, currency: &str) -> Option<Money> {
    let currency: Currency = currency.to_ascii_uppercase().parse().ok()?;
    let (ours, theirs) = (currency.minor_digits(), digits(currency));
    let amount_minor = if ours >= theirs {
        amount.checked_mul(10_i64.pow(ours - theirs))?
    } else {
        let unit = 10_i64.pow(theirs - ours);
        if amount % unit != 0 {
            return None;
        }
        amount / unit
    };
    Some(Money { amount_minor, currency })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(amount_minor: i64, currency: &str) -> Money {
        Money { amount_minor, currency: currency.parse().unwrap() }
    }

    #[test]
    fn amounts_in_stripes_form() {
        for (ours, currency, theirs) in [
            (9_900, "USD", Some(9_900)),
            (500, "JPY", Some(500)),
            (5_120, "KWD", Some(5_120)),
            (5_124, "KWD", None),
            // The documentation's own: 5 ISK are 500, and so are 5 UGX.
            (5, "ISK", Some(500)),
            (5, "UGX", Some(500)),
            (500, "MGA", Some(5)),
            (501, "MGA", None),
            (12_345, "HUF", Some(12_345)),
        ] {
            assert_eq!(to_stripe(money(ours, currency)), theirs, "{ours} {currency}");
            if let Some(theirs) = theirs {
                assert_eq!(from_stripe(theirs, currency), Some(money(ours, currency)));
            }
        }
        assert_eq!(from_stripe(550, "isk"), None);
        assert_eq!(from_stripe(1, "dollars"), None);
        assert_eq!(from_stripe(i64::MAX, "mga"), None);
    }

    #[test]
    fn the_least_amounts_are_as_published() {
        for (currency, least) in [
            ("USD", 50),
            ("EUR", 50),
            ("GBP", 30),
            ("JPY", 50),
            ("KRW", 1),
            ("KWD", 500),
            ("MGA", 100),
        ] {
            assert_eq!(min(currency.parse().unwrap()), least, "{currency}");
        }
    }

    proptest! {
        #[test]
        fn what_is_in_whole_steps_comes_back(count in 0..1_000_000_000_i64, code in "[A-Z]{3}") {
            let currency: Currency = code.parse().unwrap();
            let amount = Money { amount_minor: count * step(currency), currency };
            let theirs = to_stripe(amount).unwrap();
            prop_assert_eq!(from_stripe(theirs, &code.to_lowercase()), Some(amount));
            prop_assert_eq!(min(currency) % step(currency), 0);
            if step(currency) > 1 {
                prop_assert_eq!(to_stripe(Money { amount_minor: amount.amount_minor + 1, currency }), None);
            }
        }

        #[test]
        fn any_amount_is_read_without_panic(amount: i64, code in ".{0,4}", ours: i64) {
            let _ = from_stripe(amount, &code);
            let _ = code.parse().map(|currency| to_stripe(Money { amount_minor: ours, currency }));
        }
    }
}
