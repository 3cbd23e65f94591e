//! What the route table says, made ready for requests: the site to decide by, the pools to forward to, and the
//! keys of their contexts. Replaced as one, so that no request meets half of a new table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use credentials::SymmetricKey;
use metering::Spool;
use policy::Site;
use policy::routes::RouteTable;

use crate::forward::Forwarder;
use crate::upstreams::Upstreams;
use crate::usage::Labels;

/// A route table that requests go by.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) site: Arc<Site>,
    pub(crate) upstreams: Upstreams,
    pub(crate) forwarder: Forwarder,
    pub(crate) labels: Labels,
}

/// Where tables come from, now and when they are loaded anew.
#[derive(Debug)]
pub(crate) struct TableSource {
    pub(crate) routes_file: PathBuf,
    /// Peers by pool, instead of the file's.
    pub(crate) peers: BTreeMap<String, Vec<String>>,
    pub(crate) context_key: SymmetricKey,
}

/// Reads the route table at `file`.
pub(crate) fn read_routes(file: &Path) -> anyhow::Result<RouteTable> {
    let name = file.display();
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the route table {name}; set edge.routes_file"))?;
    Ok(RouteTable::parse(&name.to_string(), &text)?)
}

impl TableSource {
    /// A table of `site`. Peers that `before` knows keep what is known of them.
    pub(crate) fn table(&self, site: Site, before: Option<&Upstreams>) -> anyhow::Result<Table> {
        let upstreams = Upstreams::new(&site.routes, &self.peers, before)?;
        let pools = site.routes.upstreams().map(|(name, _)| name);
        let forwarder = Forwarder::new(&self.context_key, pools, rand::random());
        Ok(Table { upstreams, forwarder, site: Arc::new(site), labels: Labels::default() })
    }
}

impl Table {
    /// The same, with routes that are counted: a table that is only checked needs no spool.
    pub(crate) fn counted_in(self, spool: &Spool) -> anyhow::Result<Self> {
        let labels = Labels::of(&self.site.routes, spool).context("routes cannot be counted")?;
        Ok(Self { labels, ..self })
    }
}
