//! Amounts and dates as they are printed.

use std::fmt::Write as _;

use domain::money::Money;
use jiff::civil::Date;

use crate::document::Dates;

/// Digits in a group.
const GROUP: usize = 3;

/// `1,234.50`: the currency's digits, a comma for the thousands, a sign when negative. The sign is the ASCII one, which
/// a spreadsheet takes for a number.
pub(crate) fn plain(money: Money) -> String {
    let digits = money.currency.minor_digits();
    let unit = 10_u64.pow(digits);
    let amount = money.amount_minor.unsigned_abs();
    let whole = (amount / unit).to_string();
    let mut shown = String::from(if money.amount_minor < 0 { "-" } else { "" });
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(GROUP) {
            shown.push(',');
        }
        shown.push(digit);
    }
    if digits > 0 {
        // Writing to a string cannot fail.
        let _ = write!(shown, ".{:0width$}", amount % unit, width = digits as usize);
    }
    shown
}

/// `USD 1,234.50`.
pub(crate) fn named(money: Money) -> String {
    format!("{} {}", money.currency, plain(money))
}

/// `1 Apr 2026`: the month in letters, because a reader cannot tell 04/01 from 01/04.
pub(crate) fn date(date: Date) -> String {
    let month = match date.month() {
        1 => "Jan",
        2 => "Feb",
        3 => "Mar",
        4 => "Apr",
        5 => "May",
        6 => "Jun",
        7 => "Jul",
        8 => "Aug",
        9 => "Sep",
        10 => "Oct",
        11 => "Nov",
        _ => "Dec",
    };
    format!("{} {month} {}", date.day(), date.year())
}

/// `1 Apr 2026 – 30 Apr 2026`, or the day when it is one.
pub(crate) fn dates(dates: Dates) -> String {
    if dates.first == dates.last {
        return date(dates.first);
    }
    format!("{} \u{2013} {}", date(dates.first), date(dates.last))
}

/// An account or a reference in groups of four, as ISO 13616 and ISO 11649 print it; what is neither stays as it is.
pub(crate) fn grouped(text: &str) -> String {
    let bare: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    if bare.iter().any(|c| !c.is_ascii_alphanumeric()) {
        return text.to_owned();
    }
    let groups: Vec<String> = bare.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_has_its_sign_its_groups_and_its_currencys_digits() {
        let shown = |amount_minor, currency: &str| {
            plain(Money { amount_minor, currency: currency.parse().unwrap() })
        };
        assert_eq!(shown(123_450, "USD"), "1,234.50");
        assert_eq!(shown(0, "USD"), "0.00");
        assert_eq!(shown(-5, "EUR"), "-0.05");
        assert_eq!(shown(-99_999, "EUR"), "-999.99");
        assert_eq!(shown(100_000_000, "EUR"), "1,000,000.00");
        assert_eq!(shown(1_234_567, "JPY"), "1,234,567");
        assert_eq!(shown(0, "JPY"), "0");
        assert_eq!(shown(1_234_567, "KWD"), "1,234.567");
        assert_eq!(shown(-1, "KWD"), "-0.001");
        assert_eq!(shown(i64::MIN, "USD"), "-92,233,720,368,547,758.08");
        assert_eq!(shown(i64::MAX, "JPY"), "9,223,372,036,854,775,807");
        assert_eq!(named(Money { amount_minor: 5, currency: "USD".parse().unwrap() }), "USD 0.05");
    }

    #[test]
    fn a_date_cannot_be_misread() {
        let day = |month, day| Date::new(2026, month, day).unwrap();
        assert_eq!(date(day(4, 1)), "1 Apr 2026");
        let shown = |first, last| dates(Dates { first, last });
        assert_eq!(shown(day(1, 31), day(2, 27)), "31 Jan 2026 \u{2013} 27 Feb 2026");
        assert_eq!(shown(day(12, 5), day(12, 5)), "5 Dec 2026");
    }

    #[test]
    fn an_account_is_grouped_and_other_text_is_left_alone() {
        assert_eq!(grouped("DE89370400440532013000"), "DE89 3704 0044 0532 0130 00");
        assert_eq!(grouped("DE89 3704 00440532 0130 00"), "DE89 3704 0044 0532 0130 00");
        assert_eq!(grouped("ask us: +49 30"), "ask us: +49 30");
        assert_eq!(grouped(""), "");
    }
}
