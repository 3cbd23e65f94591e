//! From bytes to input that is nearly right, and how much of it is tried.

use std::time::Duration;

use bolero::{DefaultEngine, TestTarget};

/// How long a target runs when it soaks.
const SOAK_TIME: Duration = Duration::from_secs(300);

/// The target with its bound: so many inputs, or, at full scale, as many as fit into [`SOAK_TIME`].
pub(crate) fn bounded<G, O>(
    target: TestTarget<G, DefaultEngine, O>,
    inputs: usize,
) -> TestTarget<G, DefaultEngine, O> {
    if harness::variable("HARNESS_SOAK").is_some() {
        return target.with_iterations(usize::MAX).with_test_time(SOAK_TIME);
    }
    target.with_iterations(inputs)
}

/// Text of `bytes`: ASCII stands for itself, every other byte for one of `words`. Text that is all chance is
/// refused by the first check; words that matter to the reader get it past that.
pub(crate) fn text(bytes: &[u8], words: &[&str]) -> String {
    let mut text = String::with_capacity(bytes.len() * 4);
    for byte in bytes {
        match byte.checked_sub(128) {
            Some(word) => text.push_str(words[usize::from(word) % words.len()]),
            None => text.push(char::from(*byte)),
        }
    }
    text
}

/// `genuine` with changes as a forger would make them: each byte replaced, left out, put in or doubled.
pub(crate) fn forged(genuine: &str, changes: &[(u16, u8, u8)]) -> String {
    let mut bytes = genuine.as_bytes().to_vec();
    for (place, kind, byte) in changes {
        let at = usize::from(*place) % (bytes.len() + 1);
        match kind % 5 {
            0 if at < bytes.len() => bytes[at] = *byte,
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.insert(at, *byte),
            3 => bytes.truncate(at),
            _ => bytes.extend_from_within(at..),
        }
    }
    // What is not text never gets this far: a header's value is refused before.
    String::from_utf8_lossy(&bytes).into_owned()
}
