//! `up --detach`: the same `up` in the background, watched until it is ready or has failed.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use harness::poll;
use rustix::process::{Pid, Signal, kill_process};

use crate::place::Place;
use crate::say;

const READY_WITHIN: Duration = Duration::from_secs(120);

pub(crate) fn run(place: &Place) -> Result<()> {
    if place.lock()?.try_lock().is_err() {
        bail!("already running; `deploy/down` stops it, .dev/env says where it is");
    }
    // Of an `up` that was killed.
    let _ = std::fs::remove_file(place.ready());
    let path = place.up_log();
    let log = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let arguments = std::env::args_os().skip(1).filter(|argument| argument != "--detach");
    let mut child = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Of its own group, so that Ctrl-C in this terminal does not reach it later.
        .process_group(0)
        .spawn()
        .context("cannot start in the background")?;
    let mut shown = 0;
    let outcome = poll(READY_WITHIN, || {
        let ended = child.try_wait().ok().flatten();
        let ready = place.ready().exists();
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        for line in text.get(shown..whole).unwrap_or_default().lines() {
            say::line(line);
        }
        shown = whole;
        match ended {
            Some(_) => Some(false),
            None => ready.then_some(true),
        }
    });
    match outcome {
        Some(true) => {
            say::step("running in the background; `deploy/down` stops it");
            Ok(())
        }
        Some(false) => Err(say::AlreadySaid.into()),
        None => {
            if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                // Gone already is as good.
                let _ = kill_process(pid, Signal::TERM);
            }
            let _ = child.wait();
            bail!(
                "not ready after {} s, so it was stopped; see {}",
                READY_WITHIN.as_secs(),
                path.display()
            )
        }
    }
}
