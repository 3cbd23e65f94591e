//! Delivers webhooks: leases what may be sent (`dispatch.rs`), looks up where and under which secrets (`target.rs`),
//! sends (`send.rs`), and takes in how it went (`settle.rs`). What the queue is: `migrations/0016_webhook_dispatch.sql`.

mod dispatch;
mod send;
mod settle;
mod target;

use anyhow::Context;
use jobs::catalog::Webhooks;
use outbound::{Client, Config};
use settings::Settings;
use tokio::sync::Notify;

use crate::runtime::monitor::{self, Crew};
use crate::webhooks::target::Targets;

/// What every receiver sees.
const USER_AGENT: &str = "PyTake-Webhooks/1";

/// What delivers, once a process.
pub(crate) struct Courier {
    client: Client,
    targets: Targets,
    concurrency: u32,
    woken: Notify,
}

impl Courier {
    /// With the operator's policy on addresses.
    pub(crate) fn open(settings: &Settings) -> anyhow::Result<Self> {
        let webhooks = &settings.webhooks;
        let mut config = Config::new(webhooks.policy(), USER_AGENT.to_owned());
        config.timeout = webhooks.timeout();
        Ok(Self {
            client: Client::new(config).context("the client of webhooks")?,
            targets: Targets::default(),
            concurrency: webhooks.concurrency.get(),
            woken: Notify::new(),
        })
    }

    /// One that nobody asks to deliver.
    #[cfg(test)]
    pub(crate) fn idle() -> Self {
        // As the program does at its start.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let policy = domain::destination::DestinationPolicy::default();
        Self {
            client: Client::new(Config::new(policy, USER_AGENT.to_owned())).expect("a client"),
            targets: Targets::default(),
            concurrency: 1,
            woken: Notify::new(),
        }
    }

    /// Something is due.
    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }
}

/// Delivers, and works the jobs beside it, until the process is to stop.
pub(crate) async fn work(crew: Crew) {
    tokio::join!(dispatch::run(crew.clone()), monitor::work::<Webhooks>(crew));
}
