//! A database with a few tenants, written to as the programs would, and a feed that follows it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use credentials::api_key::ApiKeyHash;
use domain::clock::SystemClock;
use domain::secret::Secret;
use feed::{Feed, Loaded, Sources, Xid};
use harness::{Servers, TestDatabase};
use policy::hosts::PlatformHosts;
use policy::routes::RouteTable;
use policy::{Change, Policy, Site};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::task::JoinHandle;

/// Far above what it takes: how long it takes is for the bench to say.
const BOUND: Duration = Duration::from_secs(20);
/// Tenants, users and keys are numbered from 1 to this.
pub(crate) const EACH: u8 = 4;

/// The id that a number stands for, in every table.
pub(crate) fn id(number: u8) -> String {
    format!("00000000-0000-7000-8000-0000000000{number:02x}")
}

/// A tenant, a member and a key for each number; the member made the key. Sessions belong to the users.
pub(crate) async fn database() -> TestDatabase {
    let database = Servers::shared().await.database().await;
    let mut admin = database.connect().await;
    for number in 1..=EACH {
        let (id, hash) = (id(number), format!("{number:02x}").repeat(32));
        let rows = format!(
            "INSERT INTO tenants (id, name, subdomain, status, created_at, updated_at)
             VALUES ('{id}', 'T', 'tenant-{number}', 'Active', now(), now());
             INSERT INTO subscriptions (tenant_id, id, plan, plan_version, cycle, currency, status,
                 started_at, anchor, period_start, period_end)
             VALUES ('{id}', '{id}', 'Pro', 1, 'Monthly', 'USD', 'Active', now(), now(), now(),
                 now() + interval '1 month');
             INSERT INTO users (id, email, name, created_at)
             VALUES ('{id}', 'user-{number}@a.example', 'U', now());
             INSERT INTO memberships (tenant_id, id, user_id, email, name, role, status, created_at)
             VALUES ('{id}', '{id}', '{id}', 'user-{number}@a.example', 'U', 'Owner', 'Active', now());
             INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at)
             VALUES ('{id}', '{id}', now(), now(), now() + interval '1 day');
             INSERT INTO api_keys (tenant_id, id, name, hash, last_four, scopes, created_by, created_at)
             VALUES ('{id}', '{id}', 'K', '\\x{hash}', 'abcd', '{{usage.read}}', '{id}', now());"
        );
        execute(&mut admin, &rows).await;
    }
    admin.close().await.expect("a clean end");
    database
}

pub(crate) async fn execute(connection: &mut PgConnection, statements: &str) {
    let statements = sqlx::AssertSqlSafe(statements.to_owned());
    connection.execute(statements).await.expect("the database takes it");
}

/// The number of the transaction that `connection` is in.
pub(crate) async fn transaction(connection: &mut PgConnection) -> Xid {
    let xid: String = sqlx::query_scalar("SELECT pg_current_xact_id()::text")
        .fetch_one(connection)
        .await
        .expect("a number");
    xid.parse().expect("a number")
}

/// Runs statements in a transaction of their own and returns its number.
pub(crate) async fn commit(connection: &mut PgConnection, statements: &str) -> Xid {
    execute(connection, "BEGIN").await;
    execute(connection, statements).await;
    let xid = transaction(connection).await;
    execute(connection, "COMMIT").await;
    xid
}

/// Revokes a key.
pub(crate) fn revoke(number: u8) -> String {
    format!("UPDATE api_keys SET revoked_at = now() WHERE id = '{}'", id(number))
}

/// A feed at work. Dropped: stopped, as if killed.
pub(crate) struct Follower {
    pub(crate) feed: Arc<Feed>,
    task: JoinHandle<()>,
}

impl Follower {
    /// Follows `database` at `url`, keeping the policy in `folder`.
    pub(crate) fn start(url: String, folder: &Path) -> Self {
        let feed = Arc::new(Feed::new(Sources {
            url: Secret::new(url),
            folder: folder.to_owned(),
            stale_after: Duration::from_secs(3600),
            clock: Arc::new(SystemClock),
            observer: Box::new(|_| {}),
        }));
        feed.restore(site());
        let running = Arc::clone(&feed);
        let task = tokio::spawn(async move { running.run(site()).await });
        Self { feed, task }
    }

    /// Waits for a policy that shows `xid`.
    pub(crate) async fn shows(&self, xid: Xid) -> Policy {
        assert!(self.feed.wait_for(xid, BOUND).await, "{xid:?} is never shown");
        self.policy()
    }

    /// Waits for the first policy.
    pub(crate) async fn first(&self) -> Policy {
        let mut latest = self.feed.subscribe();
        let first = tokio::time::timeout(BOUND, latest.wait_for(Option::is_some)).await;
        first.expect("a policy in time").expect("a feed").as_deref().map(policy).expect("a policy")
    }

    pub(crate) fn policy(&self) -> Policy {
        self.feed.subscribe().borrow().as_deref().map(policy).expect("a policy")
    }

    /// How often everything was read.
    pub(crate) fn loads(&self) -> u64 {
        self.feed.status().loads.load(Ordering::Relaxed)
    }

    /// Stops and waits until it has stopped.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn policy(loaded: &Loaded) -> Policy {
    loaded.policy.clone()
}

/// Whether the numbered key is revoked; `None` when there is none.
pub(crate) fn revoked(policy: &Policy, number: u8) -> Option<bool> {
    let wanted = ApiKeyHash::from_slice(&[number; 32]).expect("32 bytes");
    policy.changes().find_map(|change| match change {
        Change::ApiKey(hash, Some(key)) if hash == wanted => Some(key.revoked),
        _ => None,
    })
}

fn site() -> Arc<Site> {
    Arc::new(Site {
        hosts: PlatformHosts::new("api.localhost".parse().expect("a host"), []),
        routes: RouteTable::parse("t", "routes = []\nupstreams = {}").expect("a table"),
        peppers: Vec::new(),
        token_issuer: "pytake".to_owned(),
        token_audience: "pytake-api".to_owned(),
    })
}
