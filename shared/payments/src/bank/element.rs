//! Elements of a message as they are looked up: by local name, in the namespace of the document, so that what a bank adds
//! in a namespace of its own is not mistaken for the message.

use domain::money::{Currency, Money};
use jiff::civil::Date;
use roxmltree::Node;

/// Longest text that is kept of an element.
const TEXT_CHARS_MAX: usize = 500;
/// Digits before the point: ISO 20022 has 18 in all.
const DIGITS_MAX: usize = 18;

/// An element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a>(pub(super) Node<'a, 'a>);

impl<'a> Element<'a> {
    /// Its children of a name.
    pub(super) fn children(self, name: &str) -> impl Iterator<Item = Self> {
        let namespace = self.0.tag_name().namespace();
        let wanted = move |node: &Node<'a, 'a>| {
            node.tag_name().name() == name && node.tag_name().namespace() == namespace
        };
        self.0.children().filter(Node::is_element).filter(wanted).map(Self)
    }

    /// What is at the end of a path; of several of a name, the first.
    pub(super) fn at(self, path: &[&str]) -> Option<Self> {
        path.iter().try_fold(self, |element, name| element.children(name).next())
    }

    /// Its own text, without the white space around it; `None` where there is none.
    pub(super) fn text(self) -> Option<String> {
        // A comment may part it.
        let whole: String =
            self.0.children().filter(Node::is_text).filter_map(|node| node.text()).collect();
        let text: String = whole.trim().chars().take(TEXT_CHARS_MAX).collect();
        (!text.is_empty()).then_some(text)
    }

    /// The text at the end of a path.
    pub(super) fn text_at(self, path: &[&str]) -> Option<String> {
        self.at(path)?.text()
    }

    /// An amount, whose currency is an attribute.
    pub(super) fn money(self) -> Option<Money> {
        let currency: Currency = self.0.attribute("Ccy")?.parse().ok()?;
        let amount_minor = minor(&self.text()?, currency)?;
        Some(Money { amount_minor, currency })
    }

    /// A day, of which some banks say the time, too.
    pub(super) fn day(self) -> Option<Date> {
        let text = self.text_at(&["Dt"]).or_else(|| self.text_at(&["DtTm"]))?;
        text.get(..10)?.parse().ok()
    }
}

/// Minor units of a decimal number. What a currency has no digits for must be zero.
fn minor(text: &str, currency: Currency) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = usize::try_from(currency.minor_digits()).ok()?;
    let (kept, rest) = fraction.split_at_checked(digits).unwrap_or((fraction, ""));
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let well_formed = !whole.is_empty() && whole.len() <= DIGITS_MAX && number(whole);
    if !well_formed || !number(kept) || !rest.bytes().all(|byte| byte == b'0') {
        return None;
    }
    format!("{whole}{kept:0<digits$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_or_none() {
        let minor = |text, currency: &str| minor(text, currency.parse().unwrap());
        assert_eq!(minor("1155.42", "EUR"), Some(115_542));
        assert_eq!(minor("7.5", "EUR"), Some(750));
        assert_eq!(minor("7", "EUR"), Some(700));
        assert_eq!(minor("7.50000", "EUR"), Some(750));
        assert_eq!(minor("500", "JPY"), Some(500));
        assert_eq!(minor("500.00", "JPY"), Some(500));
        assert_eq!(minor("1.234", "KWD"), Some(1_234));
        for wrong in [
            "",
            ".5",
            "-1",
            "+1",
            "1,5",
            "1e3",
            "7.505",
            "1.5.0",
            "1 000",
            "٣",
            "9999999999999999999",
        ] {
            assert_eq!(minor(wrong, "EUR"), None, "{wrong}");
        }
        assert_eq!(minor(&"9".repeat(18), "EUR"), None);
    }
}
