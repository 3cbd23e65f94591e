//! SIGHUP: the route table is loaded anew. A table with a fault changes nothing; a good one takes over between
//! two requests, and those that are on their way end under the one that they began with.

use std::sync::Arc;

use async_trait::async_trait;
use metering::Spool;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use policy::Site;
use tokio::signal::unix::{SignalKind, signal};

use crate::metrics::Metrics;
use crate::policy_feed::PolicyFeed;
use crate::table::{TableSource, read_routes};

/// Waits for SIGHUP.
pub(crate) struct Reload {
    pub(crate) source: TableSource,
    pub(crate) policy: Arc<PolicyFeed>,
    pub(crate) spool: Arc<Spool>,
    pub(crate) metrics: Arc<Metrics>,
}

#[async_trait]
impl BackgroundService for Reload {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut hangups = match signal(SignalKind::hangup()) {
            Ok(hangups) => hangups,
            Err(error) => {
                tracing::error!(%error, "SIGHUP cannot be watched; restart to load the route table anew");
                return;
            }
        };
        loop {
            tokio::select! {
                _ = hangups.recv() => {}
                _ = shutdown.changed() => return,
            }
            let outcome = self.reload().await;
            self.metrics.count_reload(outcome.is_ok());
            match outcome {
                Ok(routes) => tracing::info!(routes, "route table loaded anew: {routes} routes"),
                Err(error) => tracing::error!("the route table stays as it was: {error:#}"),
            }
        }
    }
}

impl Reload {
    /// Loads the table and puts it in force; returns how many routes it has.
    async fn reload(&self) -> anyhow::Result<usize> {
        let before = self.policy.table();
        let site =
            Site { routes: read_routes(&self.source.routes_file)?, ..Site::clone(&before.site) };
        let routes = site.routes.len();
        let table = self.source.table(site, Some(&before.upstreams))?.counted_in(&self.spool)?;
        // New peers are known to be fit, or not, before anybody is sent to them.
        table.upstreams.check_new().await;
        self.policy.put_table(table);
        Ok(routes)
    }
}
