//! `pytake-workers`: does the jobs that wait in Postgres. Any number of processes may run, each for all
//! queues or for some.

mod app;
mod health;
mod jobs;
mod mail;
mod metrics;
mod register;
mod runtime;
mod schedules;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use domain::clock::{Clock, SystemClock};
use futures::future::join_all;
use settings::Settings;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::app::App;
use crate::register::{REGISTER, Registration};
use crate::runtime::fleet::Fleet;
use crate::runtime::monitor::Crew;
use crate::runtime::{keep_alive, schedule};
use crate::schedules::SCHEDULES;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code for settings and arguments that cannot be used.
const EXIT_SETTINGS: u8 = 2;

/// The PyTake workers.
#[derive(Parser)]
#[command(name = "pytake-workers", version)]
struct Arguments {
    /// Queues to work, separated by commas; all when left out.
    #[arg(long, value_delimiter = ',')]
    queues: Vec<String>,
    /// Jobs of one queue at the same time, instead of the setting.
    #[arg(long)]
    concurrency: Option<NonZeroUsize>,
    /// List the queues and the schedules, and stop.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        return list();
    }
    let queues = match register::select(&arguments.queues) {
        Ok(queues) => queues,
        Err(error) => return failed(&error, EXIT_SETTINGS),
    };
    let settings = match Settings::load() {
        Ok(settings) => settings,
        Err(error) => return failed(&error, EXIT_SETTINGS),
    };
    if let Err(error) = telemetry::init(&settings.log) {
        return failed(&error, EXIT_SETTINGS);
    }
    // Libraries that speak TLS take the process's default; nothing else was installed before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let concurrency = arguments.concurrency.map_or(settings.workers.concurrency, NonZeroUsize::get);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.context("no threads").and_then(|runtime| {
        let outcome = runtime.block_on(work(&settings, &queues, concurrency));
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
    queues: &[Registration],
    concurrency: usize,
) -> anyhow::Result<()> {
    let mut stop = StopSignal::new()?;
    let listener = listen(settings.workers.metrics_listen).await?;
    let app = Arc::new(App::start(settings)?);
    let fleet = Arc::new(Fleet::new(queues.iter().map(|registration| registration.queue)));
    tracing::info!(address = %listener.local_addr()?, "serving metrics and health");
    tokio::spawn(health::serve(listener, app.clone(), fleet.clone()));
    tokio::spawn(keep_alive::keep_alive(app.clone(), fleet.clone()));
    tokio::spawn(keep_alive::listen(app.clone(), fleet.clone()));
    tokio::spawn(schedule::run(app.clone(), &SCHEDULES));
    let (stopping, stopped) = watch::channel(false);
    let crew = Crew {
        app: app.clone(),
        fleet,
        concurrency,
        grace: settings.workers.grace_period(),
        stop: stopped,
    };
    let workers = join_all(queues.iter().map(|registration| {
        app.metrics.announce(registration.queue);
        (registration.work)(crew.clone())
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
fn failed(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("pytake-workers: {error}");
    ExitCode::from(code)
}

#[expect(clippy::print_stdout, reason = "the list is what the option is asked for")]
fn list() -> ExitCode {
    println!("{:<16}{:>8}{:>12}", "queue", "attempts", "timeout");
    for Registration { queue, attempts_max, timeout_seconds, .. } in REGISTER {
        println!("{queue:<16}{attempts_max:>8}{timeout_seconds:>10} s");
    }
    println!("\n{:<16}{:>12}{:>10}  next", "schedule", "every", "missed");
    let now = SystemClock.now();
    for schedule in SCHEDULES {
        let (every, missed) = (schedule.every.as_secs(), schedule.catch_up.as_str());
        println!("{:<16}{every:>10} s{missed:>10}  {}", schedule.name, schedule.next(now));
    }
    ExitCode::SUCCESS
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
