//! Fixed-width base62: digits, upper, lower. No punctuation, so a double click selects a whole key.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters that 256 bits take.
pub(crate) const WIDTH_256: usize = 43;
/// Characters that 32 bits take.
pub(crate) const WIDTH_32: usize = 6;

/// `bytes`, a big-endian number, in exactly `width` characters, zero-padded on the left.
pub(crate) fn encode(bytes: &[u8], width: usize) -> String {
    let mut number = bytes.to_vec();
    let mut text = vec![b'0'; width];
    for slot in text.iter_mut().rev() {
        let mut remainder = 0_u32;
        for byte in &mut number {
            let value = remainder << 8 | u32::from(*byte);
            // Both are below 256: the dividend is below 62 × 256.
            *byte = (value / 62).to_le_bytes()[0];
            remainder = value % 62;
        }
        *slot = ALPHABET[remainder as usize];
    }
    text.into_iter().map(char::from).collect()
}

/// As [`encode`], of 32 bits; on the path of each request, so without an allocation.
pub(crate) fn encode_32(mut number: u32) -> [u8; WIDTH_32] {
    let mut text = [b'0'; WIDTH_32];
    for slot in text.iter_mut().rev() {
        *slot = ALPHABET[(number % 62) as usize];
        number /= 62;
    }
    text
}

/// Whether `text` is made of base62 characters only.
pub(crate) fn is_base62(text: &str) -> bool {
    // All of them, whatever the first ones are: without a way out the compiler looks at many at once.
    text.bytes().fold(true, |good, byte| good & byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_hold_the_largest_numbers() {
        assert_eq!(encode(&[0; 32], WIDTH_256), "0".repeat(43));
        // 62^43 > 2^256: the largest number loses nothing.
        assert_ne!(encode(&[255; 32], WIDTH_256), encode(&[255; 32], WIDTH_256 - 1));
        for (number, text) in [(62, "000010"), (0, "000000"), (u32::MAX, "4gfFC3")] {
            assert_eq!(encode(&u32::to_be_bytes(number), WIDTH_32), text);
            assert_eq!(encode_32(number), text.as_bytes());
        }
    }
}
