//! `pytake-api`: serves the API behind the edge. `pytake-api migrate` brings the database up to date first.

mod account;
mod app;
mod audit_keys;
mod authorized;
mod console;
mod edge_keys;
mod events;
mod extract;
mod health;
mod idempotency;
mod metrics;
mod openapi;
mod operator;
mod passwords;
mod pdf;
mod platform_credentials;
mod problem;
mod router;
mod routes;
mod service;
mod sessions;
mod signing_keys;
mod verify_audit;
mod ways_to_pay;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use domain::clock::{Clock, SystemClock};
use domain::credential::PlatformCredentialKind;
use settings::Settings;
use store::Store;
use store::catalogue::Catalogue;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{App, Keys};
use crate::openapi::Listener;
use crate::operator::OperatorApp;
use crate::platform_credentials::CredentialCommand;
use crate::verify_audit::VerifyAudit;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code for settings that cannot be used.
const EXIT_SETTINGS: u8 = 2;

/// The PyTake API.
#[derive(Parser)]
#[command(name = "pytake-api", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve (the default).
    Serve,
    /// Bring the database up to date, load config/plans.toml, and make the first signing keys.
    Migrate,
    /// Write the OpenAPI document to standard output.
    Openapi {
        /// That of the operators' listener.
        #[arg(long)]
        operator: bool,
    },
    /// Verify an exported audit trail; needs the file and the published keys, and nothing of the installation.
    VerifyAudit(VerifyAudit),
    /// Credentials of the applications behind the edge.
    ServiceCredential {
        #[command(subcommand)]
        command: CredentialCommand,
    },
    /// Credentials of operators.
    OperatorCredential {
        #[command(subcommand)]
        command: CredentialCommand,
    },
}

fn main() -> ExitCode {
    let command = match Arguments::parse().command {
        Some(Command::Openapi { operator: true }) => {
            return written(openapi::text(operator::documented(), Listener::Operators));
        }
        Some(Command::Openapi { operator: false }) => {
            return written(openapi::text(router::documented(), Listener::Edge));
        }
        Some(Command::VerifyAudit(wish)) => return written(wish.run()),
        command => command,
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
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.context("no threads").and_then(|runtime| {
        runtime.block_on(async {
            match command {
                Some(Command::Migrate) => migrate(&settings).await,
                Some(Command::ServiceCredential { command }) => {
                    credential(&settings, PlatformCredentialKind::Service, command).await
                }
                Some(Command::OperatorCredential { command }) => {
                    credential(&settings, PlatformCredentialKind::Operator, command).await
                }
                _ => serve(&settings).await,
            }
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("{error:#}"), 1),
    }
}

#[expect(clippy::print_stderr, reason = "a start that fails says so in one line, logs or not")]
fn failed(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("pytake-api: {error}");
    ExitCode::from(code)
}

fn written(document: anyhow::Result<String>) -> ExitCode {
    match document {
        Ok(document) => {
            print(&document);
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error, 1),
    }
}

/// What the command or option is asked for.
fn print(text: &str) {
    // A reader who has gone away, such as `head`, is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{text}");
}

async fn credential(
    settings: &Settings,
    kind: PlatformCredentialKind,
    command: CredentialCommand,
) -> anyhow::Result<()> {
    print(&platform_credentials::run(settings, kind, command).await?);
    Ok(())
}

async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let catalogue = Catalogue::parse(include_str!("../../config/plans.toml"))?;
    let now = SystemClock.now();
    let url = &settings.database.url;
    store::migrate::migrate(url, &catalogue, now).await?;
    let owner = Store::connect_as_owner(url)?;
    let keys = Keys::read(settings)?;
    signing_keys::ensure(&owner, &keys, now).await?;
    audit_keys::ensure(&owner, &keys, now).await?;
    tracing::info!("the database is up to date");
    Ok(())
}

async fn serve(settings: &Settings) -> anyhow::Result<()> {
    let listener = listen(settings.api.listen, "api.listen").await?;
    let health = listen(settings.api.metrics_listen, "api.metrics_listen").await?;
    let app = App::start(settings).await?;
    tokio::spawn(health::serve(health, app.clone()));
    if let Some(operators) = OperatorApp::start(settings)? {
        let listener = listen(settings.operator.listen, "operator.listen").await?;
        tracing::info!(address = %listener.local_addr()?, "serving operators");
        tokio::spawn(operator::serve(listener, operators));
    }
    let stop = stop_signal()?;
    tracing::info!(address = %listener.local_addr()?, "serving");
    let server = axum::serve(listener, router::router(app)).with_graceful_shutdown(stop.received());
    // Past the grace period, requests that still run are given up.
    tokio::select! {
        served = server => served?,
        () = stop_signal()?.received_and(settings.api.grace_period()) => {
            tracing::warn!("the grace period ended with requests still running");
        }
    }
    Ok(())
}

async fn listen(address: std::net::SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; free the port or change {setting}"))
}

/// SIGTERM or SIGINT.
struct StopSignal {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

fn stop_signal() -> anyhow::Result<StopSignal> {
    Ok(StopSignal {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    })
}

impl StopSignal {
    async fn received(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    async fn received_and(self, grace: std::time::Duration) {
        self.received().await;
        tokio::time::sleep(grace).await;
    }
}
