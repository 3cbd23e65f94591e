//! What a person reads: steps and results on standard output, complaints on standard error.

use std::io::Write as _;

/// One step, as it begins or when it is done.
pub(crate) fn step(text: &str) {
    line(&format!("· {text}"));
}

/// A line as it is.
pub(crate) fn line(text: &str) {
    // A reader who has gone away is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// How a measurement goes, beside its result.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "  {text}");
}

/// What went wrong, and what to do.
pub(crate) fn complaint(text: &str) {
    let _ = writeln!(std::io::stderr(), "✗ {text}");
}

/// Ends a command whose complaint a person has read already.
#[derive(Debug)]
pub(crate) struct AlreadySaid;

impl std::fmt::Display for AlreadySaid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("see above")
    }
}

impl std::error::Error for AlreadySaid {}
