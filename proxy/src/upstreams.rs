//! Upstream pools: which peer serves a request, and which peers are fit to.
//!
//! A tenant sticks to a peer (rendezvous hashing), so that a peer's caches stay warm; when that peer is unfit
//! its tenants spread over the others and nobody else moves.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use futures::future::join_all;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use policy::routes::{RouteTable, Upstream};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{interval, timeout};

use crate::policy_feed::PolicyFeed;

/// How often peers are looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// All pools.
#[derive(Debug)]
pub(crate) struct Upstreams(BTreeMap<Arc<str>, Pool>);

/// Peers that answer alike.
#[derive(Debug)]
struct Pool {
    peers: Vec<Arc<Peer>>,
    times: Upstream,
}

#[derive(Debug)]
struct Peer {
    /// `host:port`.
    name: String,
    /// Where the name leads at present.
    resolved: ArcSwapOption<SocketAddr>,
    fit: AtomicBool,
    /// Whether it was looked at yet.
    checked: AtomicBool,
}

impl Upstreams {
    /// The pools of `routes`, with the peers of `overrides` instead of the table's where there are some. A
    /// peer that is in the same pool of `before` stays what it was.
    pub(crate) fn new(
        routes: &RouteTable,
        overrides: &BTreeMap<String, Vec<String>>,
        before: Option<&Self>,
    ) -> anyhow::Result<Self> {
        if let Some(name) =
            overrides.keys().find(|name| !routes.upstreams().any(|(known, _)| **known == ***name))
        {
            anyhow::bail!("settings: edge.upstreams.{name}: the route table has no such pool");
        }
        let pools = routes.upstreams().map(|(name, upstream)| {
            let peers = overrides.get(&**name).unwrap_or(&upstream.peers);
            let known = before.and_then(|before| before.0.get(name)).map(|pool| &pool.peers);
            let known = |name: &str| known?.iter().find(|peer| peer.name == name).cloned();
            let peer = |name: &String| known(name).unwrap_or_else(|| Arc::new(Peer::new(name)));
            let peers = peers.iter().map(peer).collect();
            (Arc::clone(name), Pool { peers, times: upstream.clone() })
        });
        Ok(Self(pools.collect()))
    }

    /// A peer of `pool` for whatever `affinity` stands for, and its number: one not in `tried` if there is one.
    pub(crate) fn pick(
        &self,
        pool: &str,
        affinity: u128,
        tried: &[usize],
    ) -> Option<(usize, HttpPeer)> {
        let pool = self.0.get(pool)?;
        if let [only] = pool.peers.as_slice() {
            return Some((0, pool.http_peer(**only.resolved.load().as_ref()?)));
        }
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let weight = |peer: &Peer| hasher.hash_one((affinity, &peer.name));
        let (number, address) = pool
            .peers
            .iter()
            .enumerate()
            .filter_map(|(number, peer)| Some((number, peer, peer.resolved.load_full()?)))
            // An unfit peer, or one tried before, is better than none: the check may be behind, and a
            // connection that went stale says nothing about its peer.
            .max_by_key(|(number, peer, _)| {
                (!tried.contains(number), peer.fit.load(Ordering::Relaxed), weight(peer))
            })
            .map(|(number, _, address)| (number, *address))?;
        Some((number, pool.http_peer(address)))
    }

    /// Notes that a peer could not be reached; the next check may take it back.
    pub(crate) fn mark_unfit(&self, pool: &str, number: usize) {
        if let Some(peer) = self.0.get(pool).and_then(|pool| pool.peers.get(number)) {
            peer.set_fit(false);
        }
    }

    /// Looks at all peers.
    async fn check(&self) {
        let peers = self.0.values().flat_map(|pool| &pool.peers);
        join_all(peers.map(|peer| peer.check())).await;
    }

    /// Looks at peers that nobody has looked at yet.
    pub(crate) async fn check_new(&self) {
        let peers = self.0.values().flat_map(|pool| &pool.peers);
        let new = peers.filter(|peer| !peer.checked.load(Ordering::Relaxed));
        join_all(new.map(|peer| peer.check())).await;
    }

    /// Pools without a fit peer.
    pub(crate) fn down(&self) -> Vec<&str> {
        let fit = |pool: &Pool| pool.peers.iter().any(|peer| peer.fit.load(Ordering::Relaxed));
        self.0.iter().filter(|(_, pool)| !fit(pool)).map(|(name, _)| &**name).collect()
    }

    /// Fit and all peers of each pool.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        self.0.iter().map(|(name, pool)| {
            let fit = pool.peers.iter().filter(|peer| peer.fit.load(Ordering::Relaxed)).count();
            (&**name, fit, pool.peers.len())
        })
    }
}

impl Pool {
    fn http_peer(&self, address: SocketAddr) -> HttpPeer {
        let mut peer = HttpPeer::new(address, false, String::new());
        let options = &mut peer.options;
        options.connection_timeout = Some(self.times.connect_timeout);
        options.total_connection_timeout = Some(self.times.connect_timeout * 2);
        options.read_timeout = Some(self.times.read_timeout);
        options.write_timeout = Some(self.times.write_timeout);
        options.idle_timeout = Some(self.times.idle_timeout);
        // A connection that speaks another protocol would carry what nobody decides on or counts.
        options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
        peer
    }
}

impl Peer {
    fn new(name: &str) -> Self {
        // A plain address needs no resolver and is served before the first check.
        let address = name.parse::<SocketAddr>().ok().map(Arc::new);
        Self {
            name: name.to_owned(),
            resolved: ArcSwapOption::new(address),
            fit: AtomicBool::new(false),
            checked: AtomicBool::new(false),
        }
    }

    fn set_fit(&self, fit: bool) {
        if self.fit.swap(fit, Ordering::Relaxed) != fit {
            let state = if fit { "fit" } else { "unfit" };
            tracing::info!(peer = self.name, "upstream peer {} is {state}", self.name);
        }
    }

    /// Resolves the name anew and tries a connection.
    async fn check(&self) {
        let attempt = async {
            let address = lookup_host(&self.name).await.ok()?.next()?;
            if self.resolved.load().as_deref() != Some(&address) {
                self.resolved.store(Some(Arc::new(address)));
            }
            TcpStream::connect(address).await.ok()
        };
        let reached = timeout(CHECK_TIMEOUT, attempt).await.ok().flatten().is_some();
        self.set_fit(reached);
        self.checked.store(true, Ordering::Relaxed);
    }
}

/// Looks at the peers of the table in force, again and again.
pub(crate) struct Checks(pub(crate) Arc<PolicyFeed>);

#[async_trait]
impl BackgroundService for Checks {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut tick = interval(CHECK_INTERVAL);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = shutdown.changed() => return,
            }
            self.0.table().upstreams.check().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstreams(peers: &str) -> Upstreams {
        let text = format!("routes = []\nupstreams.api = {{ peers = {peers} }}");
        Upstreams::new(&RouteTable::parse("t", &text).unwrap(), &BTreeMap::new(), None).unwrap()
    }

    #[test]
    fn a_tenant_sticks_to_a_peer_and_moves_only_when_it_is_unfit() {
        let upstreams = upstreams(r#"["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]"#);
        let pool = &upstreams.0["api"];
        pool.peers.iter().for_each(|peer| peer.set_fit(true));
        let pick = |tenant| upstreams.pick("api", tenant, &[]).unwrap().0;
        let before: Vec<_> = (0..200).map(pick).collect();
        assert!((0..3).all(|peer| before.contains(&peer)));
        upstreams.mark_unfit("api", 1);
        for (tenant, peer) in (0..200).zip(&before) {
            let now = pick(tenant);
            assert!(if *peer == 1 { now != 1 } else { now == *peer });
        }
        assert_eq!(upstreams.pick("api", 0, &[0, 2]).map(|(number, _)| number), Some(1));
        assert!(upstreams.pick("api", 0, &[0, 1, 2]).is_some());
        assert!(upstreams.down().is_empty());
    }

    #[test]
    fn a_new_table_keeps_what_is_known_of_its_peers() {
        let before = upstreams(r#"["127.0.0.1:1", "127.0.0.1:2"]"#);
        before.0["api"].peers[1].set_fit(true);
        let text = r#"routes = []
            upstreams.api = { peers = ["127.0.0.1:2", "127.0.0.1:3"] }"#;
        let routes = RouteTable::parse("t", text).unwrap();
        let after = Upstreams::new(&routes, &BTreeMap::new(), Some(&before)).unwrap();
        let fit: Vec<_> =
            after.0["api"].peers.iter().map(|peer| peer.fit.load(Ordering::Relaxed)).collect();
        assert_eq!(fit, [true, false]);
    }

    #[test]
    fn an_override_must_name_a_pool() {
        let table = RouteTable::parse("t", "routes = []\nupstreams.api = { peers = [\"a:1\"] }");
        let overrides = BTreeMap::from([("web".to_owned(), vec!["b:1".to_owned()])]);
        assert!(Upstreams::new(&table.unwrap(), &overrides, None).is_err());
    }
}
