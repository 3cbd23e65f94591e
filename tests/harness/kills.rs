//! The proof of metering: callers who note what they were answered, while edges, workers, Redis and Postgres are
//! killed under them; and what was counted in the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sqlx::{PgConnection, Row as _};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::app::SECOND_EDGE;
use crate::application::routes_with;
use crate::wait::poll_async;
use crate::{App, AppOptions, Application};

const CALLERS: u64 = 12;
/// A dead worker's jobs are taken over after forty seconds.
const COUNTED_WITHIN: Duration = Duration::from_secs(120);
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsent";
const ROW: &str = r#"{ methods = ["GET"], path = "/send", upstream = "mine", auth = "key", tenant = "required", permission = "ViewUsage", meter = "messages" },"#;
/// Edges, workers, Redis, Postgres: edges twice as often, they hold the counts.
const TARGETS: [Target; 6] = [
    Target::Edge("pytake-proxy"),
    Target::Edge(SECOND_EDGE),
    Target::Workers,
    Target::Edge("pytake-proxy"),
    Target::Redis,
    Target::Postgres,
];

#[derive(Debug, Clone, Copy)]
enum Target {
    Edge(&'static str),
    Workers,
    Redis,
    Postgres,
}

/// How much, how often, and which course of things.
#[derive(Debug, Clone, Copy)]
pub struct Kills {
    /// Requests asked.
    pub requests: u64,
    /// Kills, spread over them.
    pub kills: u64,
    /// Of the moments and targets.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whole answers with status 200, each of which is to be counted once.
    pub received: u64,
    /// Requests whose answer did not arrive whole: counted or not.
    pub cut: u64,
    /// Requests that were refused or failed, which count as nothing.
    pub failed: u64,
    /// What `usage_days` says.
    pub counted: u64,
    /// Kills that took place.
    pub kills: u64,
    /// What does not add up between the stages.
    pub discrepancies: Vec<String>,
}

impl Outcome {
    /// Answers that were received and not counted.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.received.saturating_sub(self.counted)
    }

    /// Counts of what nobody received or might have received.
    #[must_use]
    pub const fn duplicated(&self) -> u64 {
        self.counted.saturating_sub(self.received + self.cut)
    }
}

#[derive(Debug, Default)]
struct Noted {
    asked: AtomicU64,
    received: AtomicU64,
    cut: AtomicU64,
    failed: AtomicU64,
}

impl Kills {
    /// Does it, on real programs and servers.
    ///
    /// # Panics
    /// When the programs do not come back, or what was received is never counted.
    pub async fn run(self) -> Outcome {
        let application = Application::answering(ANSWER).await;
        let folder = tempfile::tempdir().expect("a folder");
        let mut app = set(&application, &folder).await;
        let owner = app.tenant("acme", "Enterprise").await;
        let limits = "UPDATE plan_versions SET api_calls_per_minute = 1000000000,
             concurrent_requests = NULL, messages_per_month = NULL";
        sqlx::raw_sql(limits)
            .execute(&mut app.database().connect().await)
            .await
            .expect("no limit has a say here");
        let mut keys = Vec::new();
        for _ in 0..4 {
            keys.push(owner.api_key(&["usage.read"]).await);
        }
        let edges = [app.url(), app.another_edge().await];
        let noted = Arc::new(Noted::default());
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            let (edges, keys, noted) = (edges.clone(), keys.clone(), Arc::clone(&noted));
            let mut dice = StdRng::seed_from_u64(self.seed ^ number);
            callers.spawn(async move {
                let client = reqwest::Client::builder()
                    .timeout(ANSWERED_WITHIN)
                    .no_proxy()
                    // A request that is sent again unseen would be counted twice, and rightly.
                    .pool_max_idle_per_host(1)
                    .retry(reqwest::retry::never())
                    .build()
                    .expect("a client");
                while noted.asked.fetch_add(1, Ordering::Relaxed) < self.requests {
                    let edge = &edges[dice.random_range(0..edges.len())];
                    let key = &keys[dice.random_range(0..keys.len())];
                    call(&client, edge, key, &noted).await;
                }
            });
        }
        let kills = self.kill(&mut app, &noted).await;
        callers.join_all().await;
        app.ready().await;
        let (received, cut, failed) = (
            noted.received.load(Ordering::Relaxed),
            noted.cut.load(Ordering::Relaxed),
            noted.failed.load(Ordering::Relaxed),
        );
        let counted = settled(&app, received).await;
        let discrepancies = discrepancies(&app).await;
        Outcome { received, cut, failed, counted, kills, discrepancies }
    }

    async fn kill(self, app: &mut App, noted: &Noted) -> u64 {
        let mut dice = StdRng::seed_from_u64(self.seed);
        let mut done = 0;
        for number in 0..self.kills {
            // Somewhere in its part of the run.
            let part = self.requests / (self.kills + 1);
            let moment = (number * part) + dice.random_range(part / 4..part.max(2));
            while noted.asked.load(Ordering::Relaxed) < moment.min(self.requests) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let pause = Duration::from_millis(dice.random_range(0..300));
            let target = TARGETS[dice.random_range(0..TARGETS.len())];
            strike(app, target, pause).await;
            done += 1;
        }
        done
    }
}

async fn set(application: &Application, folder: &TempDir) -> App {
    let pool = format!("upstreams.mine = {{ peers = [\"{}\"] }}", application.address());
    let settings = vec![
        ("PYTAKE_EDGE__ROUTES_FILE", routes_with(folder.path(), &pool, ROW)),
        ("PYTAKE_EDGE__ACCESS_LOG_PER_MILLION", "0".to_owned()),
    ];
    App::start_with(AppOptions {
        settings,
        own_redis: true,
        own_postgres: true,
        errors_expected: true,
        jobs_may_remain: true,
        ..AppOptions::default()
    })
    .await
}

async fn call(client: &reqwest::Client, edge: &str, key: &str, noted: &Noted) {
    let sent = client.get(format!("{edge}/send")).bearer_auth(key).send().await;
    let counter = match sent {
        // Nobody listened: it was never sent.
        Err(error) if error.is_connect() => {
            tokio::time::sleep(Duration::from_millis(5)).await;
            &noted.failed
        }
        Err(_) => &noted.cut,
        Ok(answer) => match (answer.status().as_u16(), answer.bytes().await) {
            (200, Ok(body)) if body.as_ref() == b"sent" => &noted.received,
            (200, _) => &noted.cut,
            (_, Ok(_)) => &noted.failed,
            (_, Err(_)) => &noted.cut,
        },
    };
    counter.fetch_add(1, Ordering::Relaxed);
}

async fn strike(app: &mut App, target: Target, pause: Duration) {
    match target {
        Target::Edge(name) => {
            app.process(name).kill();
            tokio::time::sleep(pause).await;
            app.start_again(name);
        }
        Target::Workers => {
            app.process("pytake-workers").kill();
            tokio::time::sleep(pause).await;
            app.start_again("pytake-workers");
        }
        Target::Redis => {
            app.kill_redis();
            tokio::time::sleep(pause).await;
            app.start_redis();
        }
        Target::Postgres => {
            app.kill_postgres().await;
            tokio::time::sleep(pause).await;
            app.start_postgres().await;
        }
    }
}

/// What the days say, once all that the edges counted is in them.
async fn settled(app: &App, received: u64) -> u64 {
    let connection = tokio::sync::Mutex::new(app.database().connect().await);
    let all = poll_async(COUNTED_WITHIN, async || {
        let mut connection = connection.lock().await;
        let waiting = waiting(app, &mut connection).await?;
        (waiting == 0).then_some(())
    });
    let all = all.await;
    let counted = counted(&mut *connection.lock().await).await.expect("the days");
    assert!(all.is_some() || counted >= received, "{counted} of {received} are counted");
    counted
}

/// Batches that wait at edges or in the database; `None` where that cannot be told.
async fn waiting(app: &App, connection: &mut PgConnection) -> Option<u64> {
    let mut waiting = 0;
    for name in ["pytake-proxy", SECOND_EDGE] {
        let metrics = app.stranger().calling(&app.metrics_url(name)).try_get("/metrics").await?;
        let metric = |wanted: &str| {
            let line = metrics.body.lines().find(|line| line.starts_with(wanted))?;
            line.rsplit(' ').next()?.parse::<u64>().ok()
        };
        waiting += metric("pytake_edge_usage_batches_waiting ")?;
    }
    // What was counted a moment ago is sealed within a second, and then told.
    let sql = "SELECT
            (SELECT count(*) FROM usage_batches WHERE rolled_up_at IS NULL)
            + (SELECT count(*) FROM usage_dirty)
            + (SELECT count(*) FROM usage_edges
                WHERE ended_at IS NULL AND watermark <= (SELECT max(minute) FROM usage_batches))";
    let row = sqlx::query(sql).fetch_one(connection).await.ok()?;
    Some(waiting + u64::try_from(row.get::<i64, _>(0)).ok()?)
}

async fn counted(connection: &mut PgConnection) -> sqlx::Result<u64> {
    let sql = "SELECT coalesce(sum(quantity), 0)::bigint FROM usage_days WHERE meter = 'messages'";
    let sum: i64 = sqlx::query_scalar(sql).fetch_one(connection).await?;
    Ok(sum.unsigned_abs())
}

async fn discrepancies(app: &App) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', stage, subject, bucket, expected, found)
         FROM check_usage(now() - interval '2 days')";
    sqlx::query_scalar(sql)
        .fetch_all(&mut app.database().connect().await)
        .await
        .expect("a check of usage")
}
