//! Paths: what is called normal reads alike to whoever reads it, however liberally.

use policy::routes::is_normal_path;

use crate::input::{bounded, text};

const WORDS: [&str; 24] = [
    "/", "/", "/", ".", "..", "%2e", "%2E", "%2f", "%5c", "%25", "%252e", "%00", "%", "%zz", ";",
    ";x=1", "\\", "a", "api", "{", "é", "~", "?", "#",
];

/// The path as liberal readers take it: percent codes decoded, backslashes as slashes, and what follows a
/// semicolon in a segment as a parameter of it (RFC 3986, 3.3; servlet containers drop it).
fn segments(path: &str) -> Vec<Vec<u8>> {
    let nibble = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = path.as_bytes();
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], nibble(bytes.get(at + 1)), nibble(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.extend(u8::try_from(high * 16 + low));
                at += 3;
            }
            (byte, _, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    let segments = decoded.split(|byte| matches!(byte, b'/' | b'\\'));
    segments
        .map(|segment| segment.split(|byte| *byte == b';').next().unwrap_or_default().to_vec())
        .collect()
}

#[test]
fn fuzz() {
    bounded(bolero::check!().with_max_len(16), 50_000).for_each(|bytes| {
        let text = text(bytes, &WORDS);
        for path in [text.clone(), format!("/{text}")] {
            if !is_normal_path(&path) {
                continue;
            }
            assert!(path.is_ascii() && path.starts_with('/'), "{path:?}");
            let segments = segments(&path);
            assert_eq!(segments.len(), path.split('/').count(), "{path:?}");
            let inner = &segments[1..];
            for (index, segment) in inner.iter().enumerate() {
                let last = index + 1 == inner.len();
                assert!(!segment.contains(&0), "{path:?}");
                assert!(last || !segment.is_empty(), "{path:?} has an empty segment");
                assert!(!matches!(segment.as_slice(), b"." | b".."), "{path:?} climbs");
            }
        }
    });
}
