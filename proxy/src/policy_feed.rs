//! Keeps what is in force current: the policy as the feed has it, under the route table as it was last loaded.
//! Remembers tokens that were verified under it.

use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use async_trait::async_trait;
use credentials::access_token::Claims;
use feed::{Feed, Loaded, Xid};
use moka::sync::Cache;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use policy::Policy;

use crate::table::Table;

/// Tokens remembered at most.
const TOKENS_MAX: u64 = 100_000;
/// Longest that a token is remembered without use; it may expire earlier.
const TOKEN_IDLE: Duration = Duration::from_secs(600);
/// Longest that an answer waits for the policy to show its own effect.
const COMMIT_WAIT_MAX: Duration = Duration::from_millis(250);

/// The policy in force, and what feeds it.
pub(crate) struct PolicyFeed {
    feed: Feed,
    table: ArcSwap<Table>,
    in_force: ArcSwapOption<InForce>,
    adopting: Mutex<()>,
    tokens: Cache<String, Remembered>,
}

/// A policy, the table that it is under, and the generation of its signing keys.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) policy: Policy,
    pub(crate) table: Arc<Table>,
    loaded: Arc<Loaded>,
    keys_generation: u64,
}

#[derive(Debug, Clone)]
struct Remembered {
    keys_generation: u64,
    claims: Arc<Claims>,
}

impl PolicyFeed {
    pub(crate) fn new(feed: Feed, table: Table) -> Self {
        let tokens = Cache::builder().max_capacity(TOKENS_MAX).time_to_idle(TOKEN_IDLE).build();
        let table = ArcSwap::from_pointee(table);
        let (in_force, adopting) = (ArcSwapOption::empty(), Mutex::new(()));
        Self { feed, table, in_force, adopting, tokens }
    }

    /// Takes up what was in force when an earlier process ended, so that a restart is not felt.
    pub(crate) fn restore(&self) {
        self.feed.restore(Arc::clone(&self.table.load().site));
        self.adopt();
    }

    /// What is in force; `None` before there is a policy.
    pub(crate) fn current(&self) -> Guard<Option<Arc<InForce>>> {
        self.in_force.load()
    }

    /// The table, whether or not there is a policy.
    pub(crate) fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Requests from now on go by `table`.
    pub(crate) fn put_table(&self, table: Table) {
        self.table.store(Arc::new(table));
        self.adopt();
    }

    /// How the feed is doing.
    pub(crate) const fn status(&self) -> &feed::Status {
        self.feed.status()
    }

    /// The claims of `token`, if it was verified under the signing keys of `in_force`.
    pub(crate) fn remembered(&self, in_force: &InForce, token: &str) -> Option<Arc<Claims>> {
        let remembered = self.tokens.get(token)?;
        (remembered.keys_generation == in_force.keys_generation).then_some(remembered.claims)
    }

    /// Remembers that `token`, verified under the signing keys of `in_force`, says `claims`.
    pub(crate) fn remember(&self, in_force: &InForce, token: &str, claims: Claims) {
        let keys_generation = in_force.keys_generation;
        let remembered = Remembered { keys_generation, claims: Arc::new(claims) };
        self.tokens.insert(token.to_owned(), remembered);
    }

    /// Waits, within bounds, until the policy in force shows what `xid` wrote. An answer is never refused
    /// because of this: it is the truth already, only the edge may be behind.
    pub(crate) async fn wait_for(&self, xid: Xid) -> bool {
        let shown = self.feed.wait_for(xid, COMMIT_WAIT_MAX).await;
        self.adopt();
        shown
    }

    /// Puts the latest policy and table in force.
    fn adopt(&self) {
        // One at a time, so that older ones never replace newer ones.
        let _adopting = self.adopting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(loaded) = self.feed.subscribe().borrow().clone() else { return };
        let table = self.table.load_full();
        let previous = self.in_force.load();
        let keys_generation = match &*previous {
            Some(previous)
                if Arc::ptr_eq(&previous.loaded, &loaded)
                    && Arc::ptr_eq(&previous.table, &table) =>
            {
                return;
            }
            Some(previous) if previous.policy.signing_keys() == loaded.policy.signing_keys() => {
                previous.keys_generation
            }
            Some(previous) => previous.keys_generation + 1,
            None => 0,
        };
        let policy = loaded.policy.at(Arc::clone(&table.site));
        self.in_force.store(Some(Arc::new(InForce { policy, table, loaded, keys_generation })));
    }

    async fn adopt_each(&self) {
        let mut latest = self.feed.subscribe();
        loop {
            self.adopt();
            if latest.changed().await.is_err() {
                return;
            }
        }
    }
}

impl std::fmt::Debug for PolicyFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyFeed").field("status", self.feed.status()).finish_non_exhaustive()
    }
}

#[async_trait]
impl BackgroundService for PolicyFeed {
    /// Runs until the process ends: requests that finish while it stops still need the policy.
    async fn start(&self, _shutdown: ShutdownWatch) {
        let site = Arc::clone(&self.table.load().site);
        tokio::select! {
            () = self.feed.run(site) => {}
            () = self.adopt_each() => {}
        }
    }
}
