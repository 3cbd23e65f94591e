//! `cargo dev up`: from nothing to a running installation with a demo tenant and a tour of it.

mod detach;
mod preflight;
mod programs;
mod seed;
mod servers;
mod supervise;
mod tour;

use anyhow::{Result, bail};
use clap::Args;
use harness::SecretFiles;
use settings::Settings;

use crate::place::Place;
use crate::say;

#[derive(Args, Debug, Clone)]
pub(crate) struct Options {
    /// Start over with empty data.
    #[arg(long)]
    fresh: bool,
    /// Return when all is ready; `down` stops it.
    #[arg(long)]
    detach: bool,
    /// How many edges to run; those after the first take any free port.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    edges: u8,
    /// How many workers to run.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    workers: u8,
}

pub(crate) async fn run(options: Options) -> Result<()> {
    let place = Place::new()?;
    if options.detach {
        return detach::run(&place);
    }
    let lock = place.lock()?;
    if lock.try_lock().is_err() {
        bail!("already running; `deploy/down` stops it, .dev/env says where it is");
    }
    std::fs::write(place.pid(), std::process::id().to_string())?;
    let stop = supervise::StopSignal::install()?;
    let outcome = tokio::select! {
        outcome = start(&place, &options) => outcome,
        () = stop.wait() => {
            say::step("stopped before it was ready");
            return Ok(());
        }
    };
    let outcome = match outcome {
        Ok(mut running) => supervise::until_stopped(&place, &mut running, &stop).await,
        Err(error) => Err(error),
    };
    for file in [place.ready(), place.pid()] {
        // Not there is as good.
        let _ = std::fs::remove_file(file);
    }
    outcome
}

/// Everything that `up` started. Dropped: stopped, the programs before what they run on.
struct Running {
    programs: programs::Programs,
    servers: servers::Servers,
}

async fn start(place: &Place, options: &Options) -> Result<Running> {
    let settings = Settings::load()?;
    if options.fresh {
        if harness::variable("DATABASE_URL").is_some() {
            bail!(
                "--fresh would not empty the database of DATABASE_URL; drop it yourself and leave --fresh out"
            );
        }
        say::step("starting over with empty data");
        place.forget()?;
    }
    preflight::check(place, &settings)?;
    let secrets = SecretFiles::ensure(&place.secrets())?;
    let servers = servers::start(place).await?;
    say::step("bringing the database up to date");
    programs::migrate(place, &servers, &secrets)?;
    let urls = servers.role_urls(place).await?;
    say::step("starting edge, API and workers");
    let programs = programs::start(place, &settings, options, &servers, &urls, &secrets).await?;
    tour::write_env(place, &programs, &servers, &settings)?;
    let demo = seed::ensure(place, programs.proxy_url(), &settings).await?;
    std::fs::write(place.ready(), "")?;
    tour::print(place, &programs, &settings, &demo);
    Ok(Running { programs, servers })
}
