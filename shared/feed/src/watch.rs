//! Keeps the policy current: woken by NOTIFY, and by a poll each second in case one was lost. While Postgres
//! is away the last policy stays in force and its age grows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::secret::Secret;
use policy::{Policy, Site};
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection};
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::load::{LoadError, load};
use crate::visibility::{Snapshot, Xid};

const CHANNEL: &str = "policy_changes";
const POLL_INTERVAL: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(3);

/// A policy and the moment of the database that it shows.
#[derive(Debug)]
pub struct Loaded {
    /// What the edge decides by.
    pub policy: Policy,
    /// What was committed when it was read.
    pub snapshot: Snapshot,
}

/// How the feed is doing; for metrics and readiness.
#[derive(Debug)]
pub struct Status {
    started: Instant,
    /// Milliseconds after `started` at which the policy was last known to be current; 0 for never.
    current_ms: AtomicU64,
    /// Whether Postgres is connected.
    pub connected: AtomicBool,
    /// Policies loaded so far.
    pub loads: AtomicU64,
    /// How long the last load took, in microseconds.
    pub load_us: AtomicU64,
}

/// The feed: where the current policy is to be had.
#[derive(Debug)]
pub struct Feed {
    site: Arc<Site>,
    url: Secret<String>,
    latest: watch::Sender<Option<Arc<Loaded>>>,
    nudge: Notify,
    status: Status,
}

impl Status {
    /// How long ago the policy was last known to be current; `None` before the first load.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let current_ms = self.current_ms.load(Ordering::Relaxed);
        let age = self.started.elapsed().saturating_sub(Duration::from_millis(current_ms));
        (current_ms > 0).then_some(age)
    }

    fn confirm(&self) {
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.current_ms.store(now_ms.max(1), Ordering::Relaxed);
    }
}

impl Feed {
    /// A feed of the database at `url` (as the role `pytake_edge`), for the edge described by `site`.
    #[must_use]
    pub fn new(url: Secret<String>, site: Arc<Site>) -> Self {
        let status = Status {
            started: Instant::now(),
            current_ms: AtomicU64::new(0),
            connected: AtomicBool::new(false),
            loads: AtomicU64::new(0),
            load_us: AtomicU64::new(0),
        };
        Self { site, url, latest: watch::Sender::new(None), nudge: Notify::new(), status }
    }

    /// How the feed is doing.
    #[must_use]
    pub const fn status(&self) -> &Status {
        &self.status
    }

    /// Each policy as it is loaded; `None` before the first.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<Loaded>>> {
        self.latest.subscribe()
    }

    /// Waits until the policy in force shows what `xid` wrote; false if `bound` passed before.
    pub async fn wait_for(&self, xid: Xid, bound: Duration) -> bool {
        let mut latest = self.latest.subscribe();
        let shown = |loaded: &Option<Arc<Loaded>>| {
            loaded.as_ref().is_some_and(|loaded| loaded.snapshot.sees(xid))
        };
        if shown(&latest.borrow()) {
            return true;
        }
        self.nudge.notify_one();
        timeout(bound, latest.wait_for(shown)).await.is_ok_and(|found| found.is_ok())
    }

    /// Loads and follows for ever, reconnecting when Postgres was away. Run it once.
    pub async fn run(&self) {
        let mut backoff = BACKOFF_MIN;
        loop {
            let outcome = self.follow(&mut backoff).await;
            let was_connected = self.status.connected.swap(false, Ordering::Relaxed);
            if let Err(error) = outcome {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                if was_connected || backoff == BACKOFF_MIN {
                    tracing::warn!(%error, source, "policy feed interrupted; the last policy stays in force");
                }
            }
            sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    async fn follow(&self, backoff: &mut Duration) -> Result<(), LoadError> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECT_TIMEOUT)
            .connect_lazy(self.url.expose())?;
        let outcome = self.follow_on(&pool, backoff).await;
        pool.close().await;
        outcome
    }

    async fn follow_on(&self, pool: &PgPool, backoff: &mut Duration) -> Result<(), LoadError> {
        // Listening starts before the first load, so that no change falls between.
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        let mut connection = timeout(CONNECT_TIMEOUT, PgConnection::connect(self.url.expose()))
            .await
            .map_err(|_| sqlx::Error::PoolTimedOut)??;
        self.load(&mut connection).await?;
        self.status.connected.store(true, Ordering::Relaxed);
        *backoff = BACKOFF_MIN;
        let mut poll = interval(POLL_INTERVAL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                notification = listener.try_recv() => {
                    if notification?.is_none() {
                        return Err(sqlx::Error::PoolClosed.into());
                    }
                    // One load answers all that are waiting.
                    while listener.next_buffered().is_some() {}
                    self.load(&mut connection).await?;
                }
                () = self.nudge.notified() => self.load_if_changed(&mut connection).await?,
                _ = poll.tick() => self.load_if_changed(&mut connection).await?,
            }
        }
    }

    async fn load_if_changed(&self, connection: &mut PgConnection) -> Result<(), LoadError> {
        let snapshot = self.latest.borrow().as_ref().map(|loaded| loaded.snapshot.to_string());
        // Ids commit out of order, so "above the last id" would miss some: what counts is whether the
        // snapshot has seen the change's transaction.
        let changed = sqlx::query_scalar!(
            r#"SELECT EXISTS (
                SELECT FROM edge.policy_changes
                WHERE xid >= pg_snapshot_xmin($1::text::pg_snapshot)
                    AND NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot)
            ) AS "changed!""#,
            snapshot
        )
        .fetch_one(&mut *connection)
        .await?;
        if changed {
            return self.load(connection).await;
        }
        self.status.confirm();
        Ok(())
    }

    async fn load(&self, connection: &mut PgConnection) -> Result<(), LoadError> {
        let start = Instant::now();
        let (policy, snapshot) = load(connection, Arc::clone(&self.site)).await?;
        let (tenants, members, api_keys) = policy.sizes();
        let load_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.status.load_us.store(load_us, Ordering::Relaxed);
        self.status.loads.fetch_add(1, Ordering::Relaxed);
        self.status.confirm();
        tracing::debug!(tenants, members, api_keys, load_us, "policy loaded");
        self.latest.send_replace(Some(Arc::new(Loaded { policy, snapshot })));
        Ok(())
    }
}
