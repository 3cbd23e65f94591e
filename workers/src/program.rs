//! The program from its arguments to its end.

use std::fmt::Display;
use std::io::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};
use domain::clock::{Clock, SystemClock};
use futures::future::join_all;
use settings::Settings;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::app::App;
use crate::health;
use crate::register::{self, Registration};
use crate::repair::{self, RepairCommand};
use crate::runtime::fleet::Fleet;
use crate::runtime::monitor::Crew;
use crate::runtime::schedule::{self, Schedule};
use crate::runtime::{keep_alive, upkeep, wake_up};

/// Exit code for settings and arguments that cannot be used.
const EXIT_SETTINGS: u8 = 2;

/// The PyTake workers.
#[derive(Parser)]
#[command(name = "pytake-workers", version)]
struct Arguments {
    /// Queues to work, separated by commas; all when left out.
    #[arg(long, value_delimiter = ',')]
    queues: Vec<String>,
    /// Jobs of one queue at the same time, instead of the settings.
    #[arg(long)]
    concurrency: Option<NonZeroUsize>,
    /// List the queues and the schedules, and stop.
    #[arg(long)]
    list: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Look at jobs, have them tried again, or discard them.
    Jobs {
        #[command(subcommand)]
        command: RepairCommand,
    },
}

/// Works the queues of `registrations`, and adds what comes by the clock, until it is told to stop.
#[must_use]
pub fn main(registrations: &[Registration], schedules: &'static [Schedule]) -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        print(&list(registrations, schedules));
        return ExitCode::SUCCESS;
    }
    let queues = match register::select(registrations, &arguments.queues) {
        Ok(queues) => queues,
        Err(error) => return failed(&error, EXIT_SETTINGS),
    };
    let settings = match Settings::load() {
        Ok(settings) => settings,
        Err(error) => return failed(&error, EXIT_SETTINGS),
    };
    // Libraries that speak TLS take the process's default; nothing else was installed before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.context("no threads").and_then(|runtime| {
        let outcome = runtime.block_on(async {
            match arguments.command {
                Some(Command::Jobs { command }) => {
                    print(&repair::run(&settings, command).await?);
                    Ok(())
                }
                None => work(&settings, queues, arguments.concurrency, schedules).await,
            }
        });
        // Jobs past the grace period were handed back; they are not waited for.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("{error:#}"), 1),
    }
}

async fn work(
    settings: &Settings,
    queues: Vec<Registration>,
    concurrency: Option<NonZeroUsize>,
    schedules: &'static [Schedule],
) -> anyhow::Result<()> {
    telemetry::init(&settings.log)?;
    let mut stop = StopSignal::new()?;
    let listener = listen(settings.workers.metrics_listen).await?;
    let app = Arc::new(App::start(settings, queues.len())?);
    let fleet = Arc::new(Fleet::new(queues.iter().map(|registration| registration.form.name)));
    tracing::info!(address = %listener.local_addr()?, "serving metrics and health");
    tokio::spawn(health::serve(listener, app.clone(), fleet.clone()));
    tokio::spawn(keep_alive::run(app.clone(), fleet.clone()));
    tokio::spawn(wake_up::run(app.clone(), fleet.clone()));
    tokio::spawn(upkeep::run(app.clone(), fleet.clone()));
    tokio::spawn(schedule::run(app.clone(), schedules));
    let (stopping, stopped) = watch::channel(false);
    let workers = join_all(queues.into_iter().map(|registration| {
        let queue = registration.form.name;
        app.metrics.announce(queue);
        let of_queue = settings.workers.concurrency_of.get(queue).copied();
        (registration.work)(Crew {
            app: app.clone(),
            fleet: fleet.clone(),
            concurrency: concurrency.or(of_queue).unwrap_or(settings.workers.concurrency).get(),
            grace: settings.workers.grace_period(),
            stop: stopped.clone(),
        })
    }));
    let relay = async {
        stop.received().await;
        tracing::info!("stopping");
        // An error would mean that every worker has ended already.
        let _ = stopping.send(true);
    };
    tokio::join!(workers, relay);
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; free the port or change workers.metrics_listen")
    })
}

#[expect(clippy::print_stderr, reason = "a start that fails says so in one line, logs or not")]
fn failed(error: &dyn Display, code: u8) -> ExitCode {
    eprintln!("pytake-workers: {error}");
    ExitCode::from(code)
}

/// What the command or option is asked for.
fn print(text: &str) {
    // A reader who has gone away, such as `head`, is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn list(registrations: &[Registration], schedules: &[Schedule]) -> String {
    let mut lines = vec![format!("{:<16}{:>8}{:>12}", "queue", "attempts", "timeout")];
    lines.extend(registrations.iter().map(|Registration { form, .. }| {
        format!("{:<16}{:>8}{:>10} s", form.name, form.attempts_max, form.timeout.as_secs())
    }));
    lines.push(format!("\n{:<16}{:>12}{:>10}  next", "schedule", "every", "missed"));
    let now = SystemClock.now();
    lines.extend(schedules.iter().map(|schedule| {
        let (every, missed) = (schedule.every.as_secs(), schedule.catch_up.as_str());
        format!("{:<16}{every:>10} s{missed:>10}  {}", schedule.name, schedule.next(now))
    }));
    lines.join("\n")
}

/// SIGTERM or SIGINT.
struct StopSignal {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignal {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
