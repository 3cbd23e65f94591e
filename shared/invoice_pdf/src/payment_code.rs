//! What a banking app reads by its camera, so that nobody types an account: the code for SEPA credit transfers
//! (EPC069-12, version 002), as a QR code.

use domain::creditor_reference::CreditorReference;
use domain::money::{Currency, Money};
use qrcodegen::{QrCode, QrCodeEcc, QrSegment, Version};

use crate::document::Transfer;
use crate::text::printable;

/// The limits of EPC069-12.
const NAME_CHARS_MAX: usize = 70;
const MINOR_MAX: i64 = 99_999_999_999;
const TEXT_CHARS_MAX: usize = 140;
const BYTES_MAX: usize = 331;
const VERSION_MAX: u8 = 13;

/// The code of a transfer. `None`: there is none, because it is not in euros, or the account is not told.
pub(crate) fn code(transfer: &Transfer, due: Money) -> Option<QrCode> {
    let payload = payload(transfer, due)?;
    let segments = [QrSegment::make_bytes(payload.as_bytes())];
    let (least, most) = (Version::MIN, Version::new(VERSION_MAX));
    // The standard wants level M, and no other even where there is room.
    QrCode::encode_segments_advanced(&segments, QrCodeEcc::Medium, least, most, None, false).ok()
}

/// What the code says, a line each; what is left out at the end has none.
fn payload(transfer: &Transfer, due: Money) -> Option<String> {
    let account = transfer.account.as_ref()?;
    let compact = |text: &str| text.split_whitespace().collect::<String>().to_ascii_uppercase();
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let name: String = printable(&account.holder).trim().chars().take(NAME_CHARS_MAX).collect();
    let iban = compact(&account.iban);
    // Within the euro area it may be missing, and one that cannot be is worse than none.
    let bic = Some(compact(&account.bic)).filter(|bic| matches!(bic.len(), 8 | 11) && plain(bic));
    let in_euros = due.currency == "EUR".parse::<Currency>().ok()?;
    let fits = (1..=MINOR_MAX).contains(&due.amount_minor);
    if name.is_empty() || !(15..=34).contains(&iban.len()) || !plain(&iban) || !in_euros || !fits {
        return None;
    }
    let amount = format!("EUR{}.{:02}", due.amount_minor / 100, due.amount_minor % 100);
    let given = transfer.reference.as_deref().unwrap_or_default();
    let (structured, text) = match given.parse::<CreditorReference>() {
        Ok(reference) => (reference.as_str().to_owned(), String::new()),
        Err(_) => (String::new(), printable(given).chars().take(TEXT_CHARS_MAX).collect()),
    };
    let bic = bic.unwrap_or_default();
    let lines =
        ["BCD", "002", "1", "SCT", &bic, &name, &iban, &amount, "", &structured, &text].join("\n");
    let payload = lines.trim_end_matches('\n').to_owned();
    (payload.len() <= BYTES_MAX).then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Account;

    fn transfer(holder: &str, reference: &str) -> Transfer {
        Transfer {
            account: Some(Account {
                holder: holder.to_owned(),
                bank: "Musterbank".to_owned(),
                iban: "DE89 3704 0044 0532 0130 00".to_owned(),
                bic: "COBADEFFXXX".to_owned(),
            }),
            reference: Some(reference.to_owned()),
        }
    }

    fn due(amount_minor: i64, currency: &str) -> Money {
        Money { amount_minor, currency: currency.parse().unwrap() }
    }

    /// As a reader of another make sees it: what it says, and its level of correction.
    fn read(code: &QrCode) -> (String, u16) {
        let size = usize::try_from(code.size()).unwrap();
        let dark =
            |x: usize, y: usize| code.get_module(x.try_into().unwrap(), y.try_into().unwrap());
        let grid = rqrr::Grid::new(rqrr::SimpleGrid::from_func(size, dark));
        let (meta, text) = grid.decode().unwrap();
        (text, meta.ecc_level)
    }

    #[test]
    fn another_reader_reads_what_the_standard_wants() {
        let code = code(&transfer("Pytake Gateway GmbH", "RF78PY2026000123"), due(123_450, "EUR"));
        let (text, level) = read(&code.unwrap());
        let expected = "BCD\n002\n1\nSCT\nCOBADEFFXXX\nPytake Gateway GmbH\nDE89370400440532013000\n\
            EUR1234.50\n\nRF78PY2026000123";
        assert_eq!(text, expected);
        // 0 is level M.
        assert_eq!(level, 0);
    }

    #[test]
    fn what_is_no_reference_is_text_and_names_keep_their_letters() {
        let code = code(&transfer("Müller & Söhne", "INV 7"), due(5, "EUR")).unwrap();
        let (text, _) = read(&code);
        assert!(
            text.contains("\nMüller & Söhne\n") && text.ends_with("\nEUR0.05\n\n\nINV 7"),
            "{text}"
        );
    }

    #[test]
    fn the_longest_that_may_be_fits_and_what_may_not_be_has_no_code() {
        let long = transfer(&"Ä".repeat(90), &"a b".repeat(90));
        assert!(
            payload(&long, due(MINOR_MAX, "EUR")).is_none(),
            "more bytes than the standard allows"
        );
        let long = transfer(&"A".repeat(90), &"a b".repeat(90));
        assert!(code(&long, due(MINOR_MAX, "EUR")).is_some());
        let usual = transfer("Pytake", "RF78PY2026000123");
        for other in [due(100, "USD"), due(0, "EUR"), due(-1, "EUR"), due(MINOR_MAX + 1, "EUR")] {
            assert!(code(&usual, other).is_none(), "{other}");
        }
        assert!(code(&Transfer { account: None, ..usual.clone() }, due(100, "EUR")).is_none());
        assert!(code(&transfer(" ", "RF78PY2026000123"), due(100, "EUR")).is_none());
    }
}
