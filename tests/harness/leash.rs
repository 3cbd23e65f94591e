//! A child process that cannot outlive us: a small shell holds it and ends it when our end of a pipe
//! closes, even if we are killed. (`PR_SET_PDEATHSIG` would need unsafe code and follows threads.)

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait::poll;

/// `$1` the log, `$2` the signal that stops the child, `$3` a folder to remove at the end (or empty), then
/// the command. The watcher's `cat` ends when our pipe does.
const HOLD: &str = r#"
exec 3<&0 </dev/null
log=$1; signal=$2; remove=$3; shift 3
"$@" 3<&- >>"$log" 2>&1 &
child=$!
echo "$child"
(cat <&3 >/dev/null; kill -s "$signal" "$child") >/dev/null 2>&1 &
watcher=$!
exec 3<&-
wait "$child"; status=$?
kill "$watcher" 2>/dev/null
[ -z "$remove" ] || rm -rf "$remove"
exit "$status"
"#;

/// How long a killed process may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// How long a dropped process may take to stop by itself.
const DROPPED_WITHIN: Duration = Duration::from_secs(5);

/// What to run.
#[derive(Debug, Clone)]
pub struct Spawn {
    command: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    unset: Vec<OsString>,
    directory: Option<PathBuf>,
    log: PathBuf,
    stop_signal: &'static str,
    remove_at_end: Option<PathBuf>,
}

impl Spawn {
    /// `program`, its output appended to `log`.
    pub fn new(program: impl Into<OsString>, log: impl Into<PathBuf>) -> Self {
        Self {
            command: vec![program.into()],
            environment: Vec::new(),
            unset: Vec::new(),
            directory: None,
            log: log.into(),
            stop_signal: "TERM",
            remove_at_end: None,
        }
    }

    /// With these arguments too.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.command.extend(args.into_iter().map(Into::into));
        self
    }

    /// With these variables.
    #[must_use]
    pub fn variables(
        mut self,
        variables: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    ) -> Self {
        let pairs = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.environment.extend(pairs);
        self
    }

    /// Without these variables.
    #[must_use]
    pub fn without(mut self, names: impl IntoIterator<Item = OsString>) -> Self {
        self.unset.extend(names);
        self
    }

    /// In this folder.
    #[must_use]
    pub fn in_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// By the prefix, e.g. `setpriv …`, that changes the user.
    #[must_use]
    pub fn prefixed(mut self, prefix: Vec<OsString>) -> Self {
        self.command.splice(..0, prefix);
        self
    }

    /// Stopped by this signal (a name such as `INT`) instead of `TERM`.
    #[must_use]
    pub const fn stopped_by(mut self, signal: &'static str) -> Self {
        self.stop_signal = signal;
        self
    }

    /// The folder is removed when the process has ended, whoever is left to see it.
    #[must_use]
    pub fn removing(mut self, folder: impl Into<PathBuf>) -> Self {
        self.remove_at_end = Some(folder.into());
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When no shell can be started.
    pub fn start(self) -> Result<Leash> {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(HOLD).arg("leash").arg(&self.log).arg(self.stop_signal);
        shell.arg(self.remove_at_end.unwrap_or_default()).args(&self.command);
        shell.envs(self.environment).process_group(0);
        for name in &self.unset {
            shell.env_remove(name);
        }
        if let Some(directory) = &self.directory {
            shell.current_dir(directory);
        }
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut shell = shell.spawn().context("cannot start /bin/sh")?;
        let pipe = shell.stdin.take();
        let mut line = String::new();
        let stdout = shell.stdout.take().context("the shell has no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let pid = line.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("cannot start {:?}", self.command))?;
        Ok(Leash { shell, pipe, pid, log: self.log })
    }
}

/// A running child. Dropped: stopped, and killed if it does not.
#[derive(Debug)]
pub struct Leash {
    shell: Child,
    pipe: Option<ChildStdin>,
    pid: Pid,
    log: PathBuf,
}

impl Leash {
    /// The process id of the child itself.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Where its output goes.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.shell.try_wait().ok().flatten()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        // Gone already: nothing to signal.
        let _ = kill_process(self.pid, signal);
    }

    /// Asks it to stop and waits; after `grace` it is killed. The status, if it stopped by itself.
    pub fn stop(&mut self, grace: Duration) -> Option<ExitStatus> {
        drop(self.pipe.take());
        if let Some(status) = poll(grace, || self.ended()) {
            return Some(status);
        }
        self.kill();
        None
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        if self.ended().is_none() {
            self.signal(Signal::KILL);
            poll(GONE_WITHIN, || self.ended());
        }
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.stop(DROPPED_WITHIN);
    }
}

/// The last lines of a log, for an error's text.
#[must_use]
pub fn tail(log: &Path) -> String {
    const LINES_MAX: usize = 15;
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES_MAX)..].join("\n")
}
