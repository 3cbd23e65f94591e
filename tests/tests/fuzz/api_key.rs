//! API keys: only what `generate` can make is one.

use bolero::produce;
use credentials::SymmetricKey;
use credentials::api_key::{ApiKey, LEN, PREFIX, Pepper, parse_and_hash};
use domain::secret::Secret;

use crate::input::{bounded, forged};

/// The six characters of base62 that a key ends with, worked out another way than the product's.
fn checksum(covered: &str) -> String {
    let alphabet: Vec<char> = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
    let mut rest = !covered.bytes().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    });
    let mut digits = Vec::new();
    for _ in 0..6 {
        digits.push(alphabet[(rest % 62) as usize]);
        rest /= 62;
    }
    digits.into_iter().rev().collect()
}

#[test]
fn fuzz() {
    let pepper = Pepper::new(SymmetricKey::new(Secret::new([7; 32])));
    let changes = produce::<Vec<(u16, u8, u8)>>().with().len(0_usize..6);
    let target = bolero::check!().with_generator((produce::<[u8; 32]>(), changes));
    bounded(target, 20_000).for_each(|(random, changes)| {
        let key = ApiKey::generate(*random);
        let genuine = key.expose();
        let hash = parse_and_hash(genuine, &pepper).expect("what was generated is a key");
        assert_eq!(hash, key.hash(&pepper));

        let text = forged(genuine, changes);
        let plausible = text.len() == LEN
            && text.starts_with(PREFIX)
            && text[PREFIX.len()..].bytes().all(|byte| byte.is_ascii_alphanumeric())
            && text.ends_with(&checksum(&text[..LEN - 6]));
        let parsed = parse_and_hash(&text, &pepper);
        assert_eq!(parsed.is_ok(), plausible, "{text:?}");
        assert_eq!(parsed.is_ok(), ApiKey::parse(&text).is_ok(), "{text:?}");
        assert_eq!(parsed.is_ok_and(|other| other == hash), text == *genuine, "{text:?}");
    });
}
