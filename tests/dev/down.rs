//! `cargo dev down`: stops what `up` started.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use harness::poll;
use rustix::process::{Pid, Signal, kill_process};

use crate::place::Place;
use crate::say;

/// Longer than all programs' grace periods together.
const STOPPED_WITHIN: Duration = Duration::from_secs(90);

pub(crate) fn run() -> Result<()> {
    let place = Place::new()?;
    let lock = place.lock()?;
    if lock.try_lock().is_ok() {
        say::step("nothing is running");
        return Ok(());
    }
    let text = std::fs::read_to_string(place.pid()).unwrap_or_default();
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    let pid = pid.with_context(|| format!("{} names no process", place.pid().display()))?;
    kill_process(pid, Signal::TERM).context("cannot signal the running `up`")?;
    if poll(STOPPED_WITHIN, || lock.try_lock().ok()).is_none() {
        bail!("process {pid} does not stop; see {}", place.up_log().display());
    }
    say::step("stopped");
    Ok(())
}
