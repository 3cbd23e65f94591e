//! Redis: where leases are debited. One task talks to it; requests hand it cells and are woken with the answer,
//! so a burst on one cell is one question, and the questions of many cells go in one write.

mod connection;
mod hearing;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::{RedisError, Script};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

pub(crate) use self::connection::Connection;
pub use self::connection::{Server, ServerError};
use crate::cells::Cell;
use crate::shared_cell::{Answer, Ask};
use crate::take::Limiter;

const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// How often unspent leases are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_millis(250);
/// How often this edge says that it lives; an edge that has not for four times as long does not count.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// Cells taken from the queue at once.
const BATCH: usize = 128;

/// Registers this edge and answers how many live and how many of them come before it by name.
const EDGES_LUA: &str = r"
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time[1] - 4)
redis.call('EXPIRE', KEYS[1], 60)
local rank = 0
local edges = redis.call('ZRANGE', KEYS[1], 0, -1)
for _, edge in ipairs(edges) do
    if edge < ARGV[1] then rank = rank + 1 end
end
return { #edges, rank }
";

/// The scripts, hashed once.
struct Scripts {
    cell: Script,
    edges: Script,
}

/// What was under way, and is done.
enum Done {
    /// A question about a cell was answered, or lost: then the connection may be well otherwise.
    Step(Result<(), RedisError>),
    /// This edge said that it lives, and heard of how many.
    Heartbeat(Result<(u64, u64), RedisError>),
}

/// With the time that the answer took.
type UnderWay = JoinSet<(Done, Duration)>;

impl Limiter {
    /// Serves leases from Redis until `stop` is done; then gives back what is unspent. Reconnects for ever. Run
    /// it once, on a runtime of its own.
    pub async fn run(&self, server: Server, stop: impl Future<Output = ()>) {
        let scripts = Arc::new(Scripts {
            cell: Script::new(include_str!("cell.lua")),
            edges: Script::new(EDGES_LUA),
        });
        let mut asked = self.asked.lock().await;
        tokio::select! {
            () = self.serve_for_ever(&server, &scripts, &mut asked) => {}
            () = self.hear_for_ever(&server) => {}
            () = stop => {}
        }
        self.link.stopped();
        self.give_back_all(&scripts, &server).await;
    }

    async fn serve_for_ever(
        &self,
        server: &Server,
        scripts: &Arc<Scripts>,
        asked: &mut mpsc::Receiver<Arc<Cell>>,
    ) {
        let mut backoff = BACKOFF_MIN;
        loop {
            let served = async {
                let connection = server.connect().await?;
                self.place(self.heartbeat(scripts, &connection).await?);
                self.link.connected();
                backoff = BACKOFF_MIN;
                self.serve(scripts, &connection, asked).await
            };
            if let Err(error) = served.await {
                self.link.lost(&error);
            }
            self.release_waiting(asked);
            sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Asks and answers until something fails; what was under way then is dropped, and its answers with it.
    async fn serve(
        &self,
        scripts: &Arc<Scripts>,
        connection: &Connection,
        asked: &mut mpsc::Receiver<Arc<Cell>>,
    ) -> Result<(), RedisError> {
        let mut under_way = UnderWay::new();
        let mut batch = Vec::with_capacity(BATCH);
        let mut sweep = interval(SWEEP_INTERVAL);
        let mut heartbeat = interval(HEARTBEAT_INTERVAL);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = asked.recv_many(&mut batch, BATCH) => {
                    for cell in batch.drain(..) {
                        let ask = cell.lock().ask(self.now_us());
                        under_way.spawn(self.step(scripts, connection, cell, ask));
                    }
                }
                Some(done) = under_way.join_next() => {
                    let Ok((done, way)) = done else { continue };
                    match done {
                        Done::Step(Err(error)) if connection.has_other_servers(&error) => {
                            self.link.slow(self.now_us());
                            continue;
                        }
                        Done::Step(outcome) => outcome?,
                        Done::Heartbeat(outcome) => self.place(outcome?),
                    }
                    self.link.answered(way, self.now_us());
                }
                _ = sweep.tick() => {
                    for (cell, ask) in self.to_settle() {
                        under_way.spawn(self.step(scripts, connection, cell, ask));
                    }
                }
                _ = heartbeat.tick() => {
                    let heartbeat = self.heartbeat(scripts, connection);
                    under_way.spawn(async move {
                        let asked = Instant::now();
                        (Done::Heartbeat(heartbeat.await), asked.elapsed())
                    });
                }
            }
        }
    }

    /// One question about one cell, whose answer is booked and whose waiters are woken, come what may.
    fn step(
        &self,
        scripts: &Arc<Scripts>,
        connection: &Connection,
        cell: Arc<Cell>,
        ask: Ask,
    ) -> impl Future<Output = (Done, Duration)> + Send + use<> {
        self.health.questions.fetch_add(1, Ordering::Relaxed);
        let key = cell.key.in_redis(&self.key_prefix);
        let (edge, channel) = (self.edge_id.clone(), self.channel());
        let arguments = ask.arguments(self.edges());
        let (clock, asked_us) = (self.clock(), self.now_us());
        let (scripts, mut connection) = (Arc::clone(scripts), connection.clone());
        async move {
            let asked = Instant::now();
            let mut step = scripts.cell.key(key);
            step.arg(edge).arg(&arguments[..]).arg(channel);
            let answer = step.invoke_async(&mut connection).await;
            let way = asked.elapsed();
            let mut state = cell.lock();
            state.asked = false;
            let done = answer.map(|answer| {
                if let Some(answer) = Answer::read(answer) {
                    state.lease.answered(&ask, &answer, asked_us, clock());
                }
            });
            drop(state);
            cell.answered.notify_waiters();
            (Done::Step(done), way)
        }
    }

    /// Cells with something to settle: expired leases, debts, slots to renew.
    fn to_settle(&self) -> Vec<(Arc<Cell>, Ask)> {
        let now_us = self.now_us();
        let mut found = Vec::new();
        self.cells.sweep(now_us, |cell, state| {
            if let Some(ask) = state.settle(now_us) {
                found.push((Arc::clone(cell), ask));
            }
        });
        self.cells.forget_heard(now_us);
        found
    }

    /// Wakes whoever waits for an answer that will not come.
    fn release_waiting(&self, asked: &mut mpsc::Receiver<Arc<Cell>>) {
        while asked.try_recv().is_ok() {}
        self.cells.sweep(self.now_us(), |cell, state| {
            state.asked = false;
            cell.answered.notify_waiters();
        });
    }

    fn heartbeat(
        &self,
        scripts: &Arc<Scripts>,
        connection: &Connection,
    ) -> impl Future<Output = Result<(u64, u64), RedisError>> + Send + use<> {
        let (key, edge) = (self.edges_key(), self.edge_id.clone());
        let (scripts, mut connection) = (Arc::clone(scripts), connection.clone());
        async move { scripts.edges.key(key).arg(edge).invoke_async(&mut connection).await }
    }

    /// The last act: permits that this edge will not spend go back, and its place is free.
    async fn give_back_all(&self, scripts: &Arc<Scripts>, server: &Server) {
        let Ok(mut connection) = server.connect().await else { return };
        let now_us = self.now_us();
        let mut under_way = UnderWay::new();
        self.cells.sweep(now_us, |cell, state| {
            if let Some(ask) = state.surrender(now_us) {
                under_way.spawn(self.step(scripts, &connection, Arc::clone(cell), ask));
            }
        });
        while let Some(done) = under_way.join_next().await {
            if let Ok((Done::Step(Err(error)), _)) = done {
                tracing::debug!(%error, "what was not given back lapses by itself");
                return;
            }
        }
        let gone: Result<(), _> = redis::cmd("ZREM")
            .arg(self.edges_key())
            .arg(&self.edge_id)
            .query_async(&mut connection)
            .await;
        if let Err(error) = gone {
            tracing::debug!(%error, "the edge's place expires by itself");
        }
    }

    fn edges_key(&self) -> String {
        format!("{}edges", self.key_prefix)
    }

    fn channel(&self) -> String {
        format!("{}levels", self.key_prefix)
    }
}
