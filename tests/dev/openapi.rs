//! `cargo dev openapi`: the API's description as a file, so that a change of the API is a diff to review.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use harness::{program, root};

use crate::say;

pub(crate) fn run(check: bool) -> Result<()> {
    let output = Command::new(program("pytake-api")?).arg("openapi").output()?;
    if !output.status.success() {
        bail!("`pytake-api openapi` failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout).context("the description is text")?;
    let path = root().join("docs/openapi.json");
    if std::fs::read_to_string(&path).is_ok_and(|kept| kept == text) {
        say::step("docs/openapi.json is fresh");
        return Ok(());
    }
    if check {
        bail!("docs/openapi.json is stale: run `cargo dev openapi` and review the difference");
    }
    std::fs::write(&path, text)?;
    say::step("docs/openapi.json was renewed; review the difference");
    Ok(())
}
