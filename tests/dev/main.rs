//! `cargo dev …`: the project's own commands. The scripts in deploy/ see to the prerequisites and call these.

mod bench;
mod down;
mod openapi;
mod place;
mod say;
mod sqlx;
mod test;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo dev", about = "PyTake's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start everything and stay; Ctrl-C stops it.
    Up(up::Options),
    /// Stop what `up --detach` started.
    Down,
    /// Run every test on private servers.
    Test(test::Options),
    /// Measure figures.
    Bench(bench::Options),
    /// Renew the cache of checked SQL, from a fresh database.
    Sqlx {
        /// Change nothing; fail where the cache is stale.
        #[arg(long)]
        check: bool,
    },
    /// Renew docs/openapi.json and docs/openapi-operator.json from the API's own words.
    Openapi {
        /// Change nothing; fail where it is stale.
        #[arg(long)]
        check: bool,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Up(options) => up::run(options).await,
        Command::Down => down::run(),
        Command::Test(options) => test::run(options).await,
        Command::Bench(options) => bench::run(options).await,
        Command::Sqlx { check } => sqlx::run(check).await,
        Command::Openapi { check } => openapi::run(check),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is::<say::AlreadySaid>() {
                say::complaint(&format!("{error:#}"));
            }
            ExitCode::FAILURE
        }
    }
}
