//! `cargo dev test`: every test, on one private Postgres and Redis.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use harness::{SERVERS_VARIABLE, Servers, root};

use crate::say;

/// Set for tests that have a full scale.
const SOAK_VARIABLE: &str = "HARNESS_SOAK";

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Run the proof of this name at full scale, and nothing else.
    #[arg(long, value_name = "NAME", conflicts_with = "filter")]
    soak: Option<String>,
    /// Only tests whose name contains this.
    filter: Option<String>,
}

pub(crate) async fn run(options: Options) -> Result<()> {
    say::step("starting private servers for the tests");
    let servers = Servers::start().await?;
    let description = servers.describe()?;
    let nextest = has_nextest();
    let mut command = Command::new("cargo");
    if nextest {
        command.args(["nextest", "run", "--workspace", "--no-fail-fast", "--no-tests", "fail"]);
    } else {
        command.args(["test", "--workspace", "--no-fail-fast"]);
    }
    command.args(options.soak.iter().chain(&options.filter));
    command.current_dir(root()).env(SERVERS_VARIABLE, description);
    if options.soak.is_some() {
        command.env(SOAK_VARIABLE, "1");
    }
    if options.soak.is_some() && nextest {
        command.args(["--profile", "soak"]);
    }
    say::step(if nextest { "running all tests by cargo nextest" } else { "running all tests" });
    // nextest reports on standard error, cargo test on standard output.
    let count = if nextest { count_nextest } else { count_libtest };
    if nextest {
        command.stderr(Stdio::piped());
    } else {
        command.stdout(Stdio::piped());
    }
    let mut child = command.spawn().context("cannot run cargo")?;
    let mut totals = Totals::default();
    let output: Box<dyn std::io::Read> = match (child.stderr.take(), child.stdout.take()) {
        (Some(errors), _) => Box::new(errors),
        (None, Some(output)) => Box::new(output),
        (None, None) => bail!("the test runner has no output"),
    };
    for line in BufReader::new(output).lines() {
        let line = line?;
        count(&line, &mut totals);
        say::line(&line);
    }
    let status = child.wait()?;
    drop(servers);
    say::line(&format!("{} passed, {} failed", totals.passed, totals.failed));
    if !status.success() {
        return Err(say::AlreadySaid.into());
    }
    Ok(())
}

fn has_nextest() -> bool {
    let quiet = Command::new("cargo")
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
}

/// `Summary [   1.2s] 12 tests run: 10 passed (1 slow), 2 failed, 3 skipped`.
fn count_nextest(line: &str, totals: &mut Totals) {
    if line.trim_start().starts_with("Summary [") {
        *totals = Totals {
            passed: number_before(line, " passed"),
            failed: number_before(line, " failed") + number_before(line, " timed out"),
        };
    }
}

/// `test result: ok. 3 passed; 0 failed; …`, once for each binary.
fn count_libtest(line: &str, totals: &mut Totals) {
    if line.starts_with("test result: ") {
        totals.passed += number_before(line, " passed");
        totals.failed += number_before(line, " failed");
    }
}

fn number_before(line: &str, word: &str) -> u64 {
    let before = line.split_once(word).map_or("", |(before, _)| before);
    let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_runners_summaries_are_understood() {
        let mut totals = Totals::default();
        count_nextest(
            "     Summary [   1.234s] 12/14 tests run: 9 passed (1 slow), 2 failed, 1 timed out, 3 skipped",
            &mut totals,
        );
        assert_eq!(totals, Totals { passed: 9, failed: 3 });
        let mut totals = Totals::default();
        for line in [
            "test result: ok. 3 passed; 0 failed; 0 ignored",
            "test result: FAILED. 1 passed; 2 failed; 0",
        ] {
            count_libtest(line, &mut totals);
        }
        assert_eq!(totals, Totals { passed: 4, failed: 2 });
    }
}
