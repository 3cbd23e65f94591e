//! Keeps watch until someone stops it or a program ends by itself.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Mutex;

use super::Running;
use crate::place::Place;
use crate::say;

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// More than the programs' own grace periods.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

/// Ctrl-C, a request to stop, or a terminal that is gone.
pub(crate) struct StopSignal([Mutex<Signal>; 3]);

impl StopSignal {
    pub(crate) fn install() -> Result<Self> {
        let on = |kind| signal(kind).map(Mutex::new);
        Ok(Self([
            on(SignalKind::interrupt())?,
            on(SignalKind::terminate())?,
            on(SignalKind::hangup())?,
        ]))
    }

    pub(crate) async fn wait(&self) {
        let [interrupt, terminate, hangup] = &self.0;
        let (mut interrupt, mut terminate, mut hangup) =
            (interrupt.lock().await, terminate.lock().await, hangup.lock().await);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Ends well when asked to stop, and with a complaint when a program or server ends by itself.
pub(crate) async fn until_stopped(
    place: &Place,
    running: &mut Running,
    stop: &StopSignal,
) -> Result<()> {
    let ended = loop {
        tokio::select! {
            () = stop.wait() => break None,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if let Some(ended) = running.find_ended() {
            break Some(ended);
        }
    };
    // Scripts that look at it must not believe what is no longer so.
    let _ = std::fs::remove_file(place.ready());
    say::step("stopping");
    running.stop();
    match ended {
        None => {
            say::step("stopped; the data stays in .dev/");
            Ok(())
        }
        Some((name, how)) => {
            bail!(
                "{name} {how}, so everything was stopped; its log is {}",
                place.log(&name).display()
            )
        }
    }
}

impl Running {
    fn find_ended(&mut self) -> Option<(String, String)> {
        let programs = self.programs.all.iter_mut().map(|p| (p.name.clone(), &mut p.leash));
        let postgres = self.servers.postgres.as_mut().map(|s| ("postgres".to_owned(), s.leash()));
        let redis = self.servers.redis.as_mut().map(|s| ("redis".to_owned(), s.leash()));
        let mut all = programs.chain(postgres).chain(redis);
        all.find_map(|(name, leash)| {
            let status = leash.ended()?;
            // The shell that holds a program reports a signal as 128 and its number.
            let how = match status.code() {
                Some(code) if code > 128 => format!("was killed by signal {}", code - 128),
                Some(code) => format!("ended with exit code {code}"),
                None => "was killed".to_owned(),
            };
            Some((name, how))
        })
    }

    /// Programs first, all at the same time; then what they run on.
    fn stop(&mut self) {
        std::thread::scope(|scope| {
            for program in &mut self.programs.all {
                scope.spawn(|| program.leash.stop(STOPPED_WITHIN));
            }
        });
        if let Some(redis) = &mut self.servers.redis {
            redis.stop();
        }
        if let Some(postgres) = &mut self.servers.postgres {
            postgres.stop();
        }
    }
}
