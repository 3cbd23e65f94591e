//! HMAC-SHA256 signatures in hexadecimal, as Stripe and `BTCPay` Server sign what they send.

use domain::secret::Secret;
use ring::hmac;

/// Whether `hex` is the signature of the parts, one after the other, by this secret. In constant time.
pub(crate) fn matches(secret: &Secret<String>, parts: &[&[u8]], hex: &str) -> bool {
    // By an empty secret anybody could sign.
    let Some(tag) = unhex(hex).filter(|_| !secret.expose().is_empty()) else { return false };
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    hmac::verify(&key, &parts.concat(), &tag).is_ok()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(digit(high)? << 4 | digit(low)?);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hexadecimal_is_read_whole_or_not_at_all() {
        assert_eq!(unhex("00fF1a"), Some(vec![0, 255, 26]));
        assert_eq!(unhex(""), Some(Vec::new()));
        for nonsense in ["0", "0g", "00 ", "é0", "+1"] {
            assert_eq!(unhex(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn an_empty_secret_signs_nothing() {
        let empty = Secret::new(String::new());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b""), b"x");
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!matches(&empty, &[b"x"], &hex));
        assert!(!matches(&Secret::new("s".into()), &[b"x"], &hex));
    }

    proptest! {
        #[test]
        fn any_text_is_looked_at_without_panic(secret in ".{0,20}", body: Vec<u8>, hex in ".{0,80}") {
            prop_assert!(!matches(&Secret::new(secret), &[&body], &hex));
        }
    }
}
