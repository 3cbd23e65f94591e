//! What can be known before anything is started: ports and disk.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use anyhow::{Context as _, Result, bail};
use settings::Settings;

use crate::place::Place;

/// A new database cluster with its write-ahead log takes about 60 MB; the rest is room to work.
const FREE_MB_MIN: u64 = 300;

pub(crate) fn check(place: &Place, settings: &Settings) -> Result<()> {
    for address in &settings.edge.listen {
        check_port(*address, "PYTAKE_EDGE__LISTEN='[\"127.0.0.1:8090\"]'")?;
    }
    check_port(settings.api.listen, "PYTAKE_API__LISTEN=127.0.0.1:8091")?;
    check_port(settings.operator.listen, "PYTAKE_OPERATOR__LISTEN=127.0.0.1:8092")?;
    let metrics = [
        (settings.edge.metrics_listen, "PYTAKE_EDGE__METRICS_LISTEN=127.0.0.1:9111"),
        (settings.api.metrics_listen, "PYTAKE_API__METRICS_LISTEN=127.0.0.1:9112"),
        (settings.workers.metrics_listen, "PYTAKE_WORKERS__METRICS_LISTEN=127.0.0.1:9113"),
    ];
    for (address, remedy) in metrics {
        check_port(address, remedy)?;
    }
    let disk = rustix::fs::statvfs(place.folder()).context("cannot see how much disk is free")?;
    let free_mb = disk.f_bavail.saturating_mul(disk.f_frsize) / 1_000_000;
    if free_mb < FREE_MB_MIN {
        bail!(
            "only {free_mb} MB are free under {}; {FREE_MB_MIN} MB are needed",
            place.folder().display()
        );
    }
    Ok(())
}

fn check_port(address: SocketAddr, remedy: &str) -> Result<()> {
    match TcpListener::bind(address) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => bail!(
            "port {} is taken by another program ({address}); stop that, or choose another with e.g. {remedy}",
            address.port()
        ),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => bail!(
            "port {} may not be used by this account ({address}); choose another with e.g. {remedy}",
            address.port()
        ),
        // No such address on this machine, such as ::1 without IPv6: the program itself passes over it.
        _ => Ok(()),
    }
}
