//! CPU time that a process has used: user and system, all threads.

use std::time::Duration;

use anyhow::{Context as _, Result};

/// The kernel's unit in `/proc/<pid>/stat`, the same on every Linux of today (`getconf CLK_TCK`).
const TICKS_PER_SECOND: u64 = 100;
/// Where `utime` and `stime` are, counted from the state that follows the command's closing bracket.
const UTIME: usize = 11;

pub(super) fn used_by(pid: i32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let ticks = ticks(&text).with_context(|| format!("{path} has another form"))?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

fn ticks(stat: &str) -> Option<u64> {
    // The command may hold spaces and brackets: the last bracket ends it.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(UTIME);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_found_behind_any_command() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 9 0 0 0 150 50 0 0 20 0 3 0 77";
        assert_eq!(ticks(stat), Some(200));
    }
}
