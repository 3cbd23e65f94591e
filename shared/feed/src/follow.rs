//! Keeps the policy current: woken by NOTIFY, and by a poll each second in case one was lost. While Postgres
//! is away the last policy stays in force and its age grows.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use domain::clock::Clock;
use domain::secret::Secret;
use jiff::{SignedDuration, Timestamp};
use policy::{Policy, Site};
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection};
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::local::{Local, LocalError, Restored};
use crate::position::{Position, Xid};
use crate::read::{self, Changed, ReadError};
use crate::status::Status;

const CHANNEL: &str = "policy_changes";
const POLL_INTERVAL: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Past it a connection is taken for dead: what changed is read in milliseconds, everything in seconds.
const CHANGED_TIMEOUT: Duration = Duration::from_secs(10);
const EVERYTHING_TIMEOUT: Duration = Duration::from_secs(120);
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(3);
/// How long a revoked session is remembered. Its access tokens are good for minutes.
const SESSION_MEMORY: SignedDuration = SignedDuration::from_hours(1);
/// How often the file on disk is looked after; it is there so much after the first policy.
const TEND_INTERVAL: Duration = Duration::from_millis(200);
const FORGET_INTERVAL: Duration = Duration::from_secs(600);

/// A policy and the moment of the database that it shows.
#[derive(Debug)]
pub struct Loaded {
    /// What the edge decides by.
    pub policy: Policy,
    /// What was committed when it was read.
    pub position: Position,
}

/// Told of each change how long ago it was written.
pub type Observer = Box<dyn Fn(Duration) + Send + Sync>;

/// Where the feed reads and what it keeps.
pub struct Sources {
    /// The database, as the role `pytake_edge`.
    pub url: Secret<String>,
    /// The folder of the local policy.
    pub folder: PathBuf,
    /// Ages of a local policy past which it is of no use.
    pub stale_after: Duration,
    /// The time, for what is kept longer than the process.
    pub clock: Arc<dyn Clock>,
    /// Told of each change.
    pub observer: Observer,
}

/// The feed: where the current policy is to be had.
pub struct Feed {
    sources: Sources,
    latest: watch::Sender<Option<Arc<Loaded>>>,
    nudge: Notify,
    status: Status,
    local: Mutex<Local>,
}

impl Feed {
    /// A feed from `sources`.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        let local = Mutex::new(Local::new(sources.folder.clone()));
        let latest = watch::Sender::new(None);
        Self { sources, latest, nudge: Notify::new(), status: Status::new(), local }
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
            loaded.as_ref().is_some_and(|loaded| loaded.position.snapshot.sees(xid))
        };
        if shown(&latest.borrow()) {
            return true;
        }
        self.nudge.notify_one();
        timeout(bound, latest.wait_for(shown)).await.is_ok_and(|found| found.is_ok())
    }

    /// Follows for ever, for the edge described by `site`: from what was restored, or from nothing,
    /// reconnecting when the database was away. Run it once.
    pub async fn run(&self, site: Arc<Site>) {
        // What is on disk is looked after whether or not there is a database.
        tokio::select! {
            () = self.follow_for_ever(site) => {}
            () = self.tend_for_ever() => {}
        }
    }

    async fn follow_for_ever(&self, site: Arc<Site>) {
        let mut backoff = BACKOFF_MIN;
        loop {
            let outcome = self.follow(&site, &mut backoff).await;
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

    /// Takes up what was kept on disk, if that is of use. To be called before anybody is served, and before
    /// [`Self::run`]; waits for the disk only.
    pub fn restore(&self, site: Arc<Site>) {
        let start = Instant::now();
        // Nobody else has it yet.
        let Ok(mut local) = self.local.try_lock() else { return };
        let restored = match local.restore(site) {
            Ok(restored) => restored,
            Err(LocalError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                tracing::warn!(%error, "the policy kept on disk cannot be used");
                return local.discard();
            }
        };
        drop(local);
        let age = self.sources.clock.now().duration_since(restored.current_at);
        // A clock that went back says nothing of the age; the change feed will.
        let age = Duration::try_from(age).unwrap_or_default();
        if age > self.sources.stale_after {
            tracing::warn!(
                age_seconds = age.as_secs(),
                "the policy kept on disk is too old to be used"
            );
            return;
        }
        let (tenants, members, api_keys) = restored.policy.sizes();
        let took_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            tenants,
            members,
            api_keys,
            took_ms,
            age_seconds = age.as_secs(),
            "policy restored from disk"
        );
        self.status.confirm(age);
        let Restored { policy, position, .. } = restored;
        self.latest.send_replace(Some(Arc::new(Loaded { policy, position })));
    }

    async fn follow(&self, site: &Arc<Site>, backoff: &mut Duration) -> Result<(), ReadError> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECT_TIMEOUT)
            .connect_lazy(self.sources.url.expose())?;
        let outcome = self.follow_on(&pool, site, backoff).await;
        pool.close().await;
        outcome
    }

    async fn follow_on(
        &self,
        pool: &PgPool,
        site: &Arc<Site>,
        backoff: &mut Duration,
    ) -> Result<(), ReadError> {
        // Listening starts before the first look, so that no change falls between.
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        let connecting = PgConnection::connect(self.sources.url.expose());
        let mut connection =
            timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| ReadError::Silent)??;
        self.catch_up(&mut connection, site).await?;
        self.status.connected.store(true, Ordering::Relaxed);
        *backoff = BACKOFF_MIN;
        let mut poll = interval(POLL_INTERVAL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut forget = interval(FORGET_INTERVAL);
        loop {
            tokio::select! {
                notification = listener.try_recv() => {
                    if notification?.is_none() {
                        return Err(sqlx::Error::PoolClosed.into());
                    }
                    // One look answers all that are waiting.
                    while listener.next_buffered().is_some() {}
                }
                () = self.nudge.notified() => {}
                _ = poll.tick() => {}
                _ = forget.tick() => {
                    self.forget_sessions().await;
                    continue;
                }
            }
            self.catch_up(&mut connection, site).await?;
        }
    }

    /// Brings the policy to the present: by what changed, or by reading everything where that leads nowhere.
    async fn catch_up(
        &self,
        connection: &mut PgConnection,
        site: &Arc<Site>,
    ) -> Result<(), ReadError> {
        let before = self.latest.borrow().clone();
        if let Some(before) = before {
            let changed = read::changed(connection, &before.position);
            let changed =
                timeout(CHANGED_TIMEOUT, changed).await.map_err(|_| ReadError::Silent)??;
            if let Some(changed) = changed {
                self.apply(&before, changed).await;
                return Ok(());
            }
        }
        let start = Instant::now();
        let everything = read::everything(connection, Arc::clone(site));
        let (policy, position) =
            timeout(EVERYTHING_TIMEOUT, everything).await.map_err(|_| ReadError::Silent)??;
        let (tenants, members, api_keys) = policy.sizes();
        let load_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::info!(tenants, members, api_keys, load_us, "policy loaded");
        self.status.load_us.store(load_us, Ordering::Relaxed);
        self.status.loads.fetch_add(1, Ordering::Relaxed);
        let mut local = self.local.lock().await;
        local.discard();
        local.tend(&policy, &position, self.sources.clock.now());
        drop(local);
        self.publish(policy, position);
        Ok(())
    }

    async fn apply(&self, before: &Loaded, changed: Changed) {
        let Changed { changes, position, lags } = changed;
        let mut policy = before.policy.clone();
        changes.iter().cloned().for_each(|change| policy.apply(change));
        // On disk first: what was in force for a moment must still be after a kill.
        self.local.lock().await.append(changes, &position, self.sources.clock.now());
        self.publish(policy, position);
        self.status.changes.fetch_add(lags.len() as u64, Ordering::Relaxed);
        lags.into_iter().for_each(|lag| (self.sources.observer)(lag));
    }

    fn publish(&self, policy: Policy, position: Position) {
        self.status.confirm(Duration::ZERO);
        self.latest.send_replace(Some(Arc::new(Loaded { policy, position })));
    }

    async fn tend_for_ever(&self) {
        let mut tick = interval(TEND_INTERVAL);
        loop {
            tick.tick().await;
            self.tend().await;
        }
    }

    /// Looks after what is on disk.
    async fn tend(&self) {
        let (Some(loaded), Some(age)) = (self.latest.borrow().clone(), self.status.age()) else {
            return;
        };
        let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
        let current_at = self.sources.clock.now().saturating_sub(age).unwrap_or(Timestamp::MIN);
        let mut local = self.local.lock().await;
        local.tend(&loaded.policy, &loaded.position, current_at);
        // Once and for all: that everything is read anew later makes nobody less ready.
        self.status.settled.fetch_or(local.settled(), Ordering::Relaxed);
    }

    async fn forget_sessions(&self) {
        let Some(loaded) = self.latest.borrow().clone() else { return };
        let mut policy = loaded.policy.clone();
        policy.forget_sessions(self.sources.clock.now() - SESSION_MEMORY);
        let position = loaded.position.clone();
        self.latest.send_replace(Some(Arc::new(Loaded { policy, position })));
    }
}
