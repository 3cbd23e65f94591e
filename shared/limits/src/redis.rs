//! Redis: where leases are debited. One task talks to it; requests hand it cells and are woken with the
//! answer, so a burst on one cell is one command.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, Script};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::cells::{Cell, CellState};
use crate::take::Limiter;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// How often unspent leases are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_millis(250);
/// How often this edge says that it lives.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

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

/// What one step asks of Redis.
#[derive(Debug, Clone, Copy)]
struct Ask {
    interval_us: u64,
    burst: u64,
    want: u64,
    settle: i64,
}

/// The scripts, hashed once.
struct Scripts {
    gcra: Script,
    edges: Script,
}

impl Limiter {
    /// Serves leases from the Redis of `client` until `stop` is done; then gives back what is unspent.
    /// Reconnects for ever. Run it once, on a runtime of its own.
    pub async fn run(&self, client: Client, stop: impl Future<Output = ()>) {
        let scripts = Arc::new(Scripts {
            gcra: Script::new(include_str!("gcra.lua")),
            edges: Script::new(EDGES_LUA),
        });
        let mut asked = self.asked.lock().await;
        tokio::pin!(stop);
        let mut backoff = BACKOFF_MIN;
        loop {
            let served = async {
                let mut connection = connect(&client).await?;
                self.heartbeat(&scripts, &mut connection).await?;
                self.health.connected.store(true, Ordering::Relaxed);
                backoff = BACKOFF_MIN;
                tracing::info!("redis connected: limits are shared between edges");
                self.serve(&scripts, &mut connection, &mut asked).await
            };
            let error = tokio::select! {
                outcome = served => outcome.err(),
                () = &mut stop => break,
            };
            let was_connected = self.health.connected.swap(false, Ordering::Relaxed);
            self.trouble();
            self.release_waiting(&mut asked);
            if let Some(error) = error.filter(|_| was_connected || backoff == BACKOFF_MIN) {
                tracing::warn!(%error, "redis is away: each edge limits by its share until it is back");
            }
            tokio::select! {
                () = sleep(backoff) => {}
                () = &mut stop => break,
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
        self.health.connected.store(false, Ordering::Relaxed);
        self.give_back_all(&scripts, &client).await;
    }

    async fn serve(
        &self,
        scripts: &Arc<Scripts>,
        connection: &mut MultiplexedConnection,
        asked: &mut mpsc::Receiver<Arc<Cell>>,
    ) -> Result<(), RedisError> {
        let mut steps: JoinSet<Result<(), RedisError>> = JoinSet::new();
        let mut sweep = interval(SWEEP_INTERVAL);
        let mut heartbeat = interval(HEARTBEAT_INTERVAL);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(cell) = asked.recv() => {
                    self.health.leases.fetch_add(1, Ordering::Relaxed);
                    let ask = lease_ask(&mut cell.lock(), self.now_us());
                    steps.spawn(self.step(scripts, connection, cell, ask));
                }
                Some(step) = steps.join_next() => step.unwrap_or(Ok(()))?,
                _ = sweep.tick() => {
                    for (cell, ask) in self.to_settle() {
                        steps.spawn(self.step(scripts, connection, cell, ask));
                    }
                }
                _ = heartbeat.tick() => self.heartbeat(scripts, connection).await?,
            }
        }
    }

    /// One command about one cell, whose answer is booked and whose waiters are woken, come what may.
    fn step(
        &self,
        scripts: &Arc<Scripts>,
        connection: &MultiplexedConnection,
        cell: Arc<Cell>,
        ask: Ask,
    ) -> impl Future<Output = Result<(), RedisError>> + Send + use<> {
        let edges = self.health.edges.load(Ordering::Relaxed);
        let key = self.redis_key(&cell);
        let clock = self.clock();
        let (scripts, mut connection) = (Arc::clone(scripts), connection.clone());
        async move {
            let answer: Result<(u64, u64, u64), RedisError> = scripts
                .gcra
                .key(key)
                .arg(ask.interval_us)
                .arg(ask.burst)
                .arg(ask.want)
                .arg(ask.settle)
                .arg(edges)
                .invoke_async(&mut connection)
                .await;
            let mut state = cell.lock();
            let outcome = match answer {
                Ok((grant, left, wait_us)) => {
                    if ask.want > 0 {
                        state.lease.granted(grant, left, wait_us, clock());
                    }
                    Ok(())
                }
                Err(error) => {
                    // Debts are owed again; what was given back is lost for one window at most.
                    state.debt += u64::try_from(-ask.settle).unwrap_or(0);
                    Err(error)
                }
            };
            if ask.want > 0 {
                state.asked = false;
            }
            drop(state);
            cell.answered.notify_waiters();
            outcome
        }
    }

    /// Cells with expired leases or debts, and what to settle.
    fn to_settle(&self) -> Vec<(Arc<Cell>, Ask)> {
        let now_us = self.now_us();
        let mut found = Vec::new();
        self.cells.sweep(now_us, |cell, state| {
            let settle = settlement(state, now_us);
            if settle != 0 {
                found.push((Arc::clone(cell), Ask { settle, ..ask_nothing(state) }));
            }
        });
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

    async fn heartbeat(
        &self,
        scripts: &Scripts,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), RedisError> {
        let (edges, rank): (u64, u64) = scripts
            .edges
            .key(format!("{}edges", self.key_prefix))
            .arg(&self.edge_id)
            .invoke_async(connection)
            .await?;
        self.health.edges.store(edges.max(1), Ordering::Relaxed);
        self.rank.store(rank, Ordering::Relaxed);
        Ok(())
    }

    /// The last act: permits that this edge will not spend go back, and its place is free.
    async fn give_back_all(&self, scripts: &Arc<Scripts>, client: &Client) {
        let Ok(mut connection) = connect(client).await else { return };
        let mut held = Vec::new();
        self.cells.sweep(self.now_us(), |cell, state| {
            let settle = i64::try_from(state.lease.surrender()).unwrap_or(i64::MAX);
            if settle > 0 {
                held.push((Arc::clone(cell), Ask { settle, ..ask_nothing(state) }));
            }
        });
        for (cell, ask) in held {
            if self.step(scripts, &connection, cell, ask).await.is_err() {
                return;
            }
        }
        let edges = format!("{}edges", self.key_prefix);
        let gone: Result<(), _> =
            redis::cmd("ZREM").arg(edges).arg(&self.edge_id).query_async(&mut connection).await;
        if let Err(error) = gone {
            tracing::debug!(%error, "the edge's place expires by itself");
        }
    }

    /// Braces make the cell's name its hash tag, so that Redis Cluster may place it anywhere.
    fn redis_key(&self, cell: &Cell) -> String {
        let key = cell.key;
        format!("{}limit:{{{}:{:032x}:{:x}}}", self.key_prefix, key.space, key.id, key.part)
    }
}

async fn connect(client: &Client) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(ANSWER_TIMEOUT));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// Unspent permits whose time is over, less those admitted without Redis.
fn settlement(state: &mut CellState, now_us: u64) -> i64 {
    let back = i64::try_from(state.lease.expire(now_us)).unwrap_or(i64::MAX);
    let debt = i64::try_from(std::mem::take(&mut state.debt)).unwrap_or(i64::MAX);
    back.saturating_sub(debt)
}

fn lease_ask(state: &mut CellState, now_us: u64) -> Ask {
    let settle = settlement(state, now_us);
    let want = state.lease.want(now_us).max(state.waiting);
    Ask { want, settle, ..ask_nothing(state) }
}

const fn ask_nothing(state: &CellState) -> Ask {
    Ask { interval_us: state.rate.interval_us(), burst: state.rate.burst(), want: 0, settle: 0 }
}
