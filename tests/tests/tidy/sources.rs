//! Source files: what each begins with, how long it may be, and what it must not hold.

use crate::tree::{Source, files};

/// More is two reasons to open a file.
const FILE_LINES_MAX: usize = 600;
/// Bytes past which a file is data, not source.
const FILE_BYTES_MAX: usize = 200_000;

fn all(faults: Vec<String>) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The part of a file that is built into a program.
fn without_tests(source: &Source) -> &str {
    let is_test = source.path.starts_with("tests/")
        || source.path.contains("/tests/")
        || source.path.ends_with("/tests.rs");
    if is_test { "" } else { source.text.split("#[cfg(test)]").next().unwrap_or_default() }
}

/// A `tests.rs` says by its name what it is: the tests of the module whose folder it is in.
#[test]
fn every_file_begins_by_saying_what_it_is() {
    let says =
        |source: &Source| source.text.starts_with("//! ") || source.path.ends_with("/tests.rs");
    let silent = files("rs").into_iter().filter(|source| !says(source));
    all(silent.map(|source| format!("{}: no `//!` header", source.path)).collect());
}

#[test]
fn no_file_is_longer_than_one_reason_to_open_it() {
    let lines = |source: &Source| source.text.lines().count();
    let long = files("rs").into_iter().filter(|source| lines(source) > FILE_LINES_MAX);
    all(long.map(|source| format!("{}: {} lines", source.path, lines(&source))).collect());
}

#[test]
fn no_source_file_is_a_blob() {
    let kinds = ["rs", "toml", "sql", "md", "sh"];
    let big = kinds.into_iter().flat_map(files).filter(|source| source.text.len() > FILE_BYTES_MAX);
    all(big.map(|source| source.path).collect());
}

#[test]
fn programs_neither_unwrap_nor_promise_to_be_mended_later() {
    // Spelled apart, so that this file does not find itself.
    let banned =
        [".unwr ap()", "TO DO", "FIX ME", "dbg !(", "#[allo w("].map(|word| word.replace(' ', ""));
    let mut faults = Vec::new();
    for source in files("rs") {
        for (number, line) in without_tests(&source).lines().enumerate() {
            for word in banned.iter().filter(|word| line.contains(word.as_str())) {
                faults.push(format!("{}:{}: `{word}`", source.path, number + 1));
            }
        }
    }
    all(faults);
}

#[test]
fn no_module_is_named_after_nothing() {
    let vague = ["utils", "util", "helpers", "helper", "common", "misc", "manager"];
    let stem = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        name.trim_end_matches(".rs").to_owned()
    };
    let found =
        files("rs").into_iter().filter(|source| vague.contains(&stem(&source.path).as_str()));
    all(found.map(|source| source.path).collect());
}
