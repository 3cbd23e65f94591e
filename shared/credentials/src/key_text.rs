//! The text of a key: a prefix, 256 random bits in base62, and a CRC32 of all before it in base62.
//!
//! The checksum lets a typo or a guess be refused without a look-up, and lets secret scanners tell a key from
//! noise (the form of GitHub's tokens).

use crate::base62::{WIDTH_32, WIDTH_256, encode, encode_32, is_base62};

/// Characters after the prefix.
pub(crate) const BODY_LEN: usize = WIDTH_256 + WIDTH_32;

/// What keeps a text from being a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Wrong prefix, length or characters.
    Malformed,
    /// Mistyped, cut or guessed.
    Checksum,
}

pub(crate) fn generate(prefix: &str, random: [u8; 32]) -> String {
    let mut text = String::with_capacity(prefix.len() + BODY_LEN);
    text.push_str(prefix);
    text.push_str(&encode(&random, WIDTH_256));
    let checksum = crc32fast::hash(text.as_bytes());
    text.push_str(&encode(&checksum.to_be_bytes(), WIDTH_32));
    text
}

pub(crate) fn check(prefix: &str, text: &str) -> Result<(), Flaw> {
    let body = text.strip_prefix(prefix).ok_or(Flaw::Malformed)?;
    if body.len() != BODY_LEN || !is_base62(body) {
        return Err(Flaw::Malformed);
    }
    let (covered, checksum) = text.split_at(text.len() - WIDTH_32);
    let expected = encode_32(crc32fast::hash(covered.as_bytes()));
    if checksum.as_bytes() == expected { Ok(()) } else { Err(Flaw::Checksum) }
}

/// The last four characters, for people to tell keys apart.
pub(crate) fn last_four(text: &str) -> &str {
    text.get(text.len().saturating_sub(4)..).unwrap_or_default()
}
