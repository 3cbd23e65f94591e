//! `cargo dev openapi`: the API's descriptions as files, so that a change of the API is a diff to review.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use harness::{program, root};

use crate::say;

/// The file of each listener's description, and what prints it.
const DESCRIPTIONS: [(&str, &[&str]); 2] = [
    ("docs/openapi.json", &["openapi"]),
    ("docs/openapi-operator.json", &["openapi", "--operator"]),
];

pub(crate) fn run(check: bool) -> Result<()> {
    DESCRIPTIONS.into_iter().try_for_each(|(file, arguments)| renew(file, arguments, check))
}

fn renew(file: &str, arguments: &[&str], check: bool) -> Result<()> {
    let output = Command::new(program("pytake-api")?).args(arguments).output()?;
    if !output.status.success() {
        bail!("`pytake-api openapi` failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout).context("the description is text")?;
    let path = root().join(file);
    if std::fs::read_to_string(&path).is_ok_and(|kept| kept == text) {
        say::step(&format!("{file} is fresh"));
        return Ok(());
    }
    if check {
        bail!("{file} is stale: run `cargo dev openapi` and review the difference");
    }
    std::fs::write(&path, text)?;
    say::step(&format!("{file} was renewed; review the difference"));
    Ok(())
}
