//! One queue's worker from start to stop. Any database error ends the library's worker, so a new one takes
//! over, after a pause that grows: readiness is red meanwhile, and jobs wait where they are safe.
//!
//! The library could restart by itself, but at once and with the dead worker's state; a new worker with a
//! new name has neither fault.

use std::sync::Arc;
use std::time::{Duration, Instant};

use apalis::layers::WorkerBuilderExt;
use apalis_core::backend::ext::BackendExt;
use apalis_core::monitor::{Monitor, MonitorError};
use apalis_core::worker::builder::WorkerBuilder;
use apalis_core::worker::ext::parallelize::ParallelizeExt;
use apalis_postgres::{Config, PostgresStorage};
use futures::task::AtomicWaker;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::app::App;
use crate::runtime::Perform;
use crate::runtime::attempt::{self, Attempt};
use crate::runtime::fleet::{Fleet, Worker};
use crate::runtime::payload::{Payload, Untouched};
use crate::runtime::poll::WakeOrInterval;

/// The library's own heartbeat, and how many may be missed: never, in effect. `keep_alive` does both better.
const HEARTBEAT: Duration = Duration::from_secs(60);
const HEARTBEATS_MISSED_MAX: usize = 24 * 60;
/// Pause before the first restart; doubles from there.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause before a restart.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A worker that ran this long was well: the next pause is the shortest again.
const WELL_AFTER: Duration = Duration::from_secs(30);
/// How long handing back may take at a stop.
const HAND_BACK_TIMEOUT: Duration = Duration::from_secs(2);

/// What the workers of a process share.
#[derive(Debug, Clone)]
pub(crate) struct Crew {
    /// What jobs need.
    pub(crate) app: Arc<App>,
    /// Names and wakers.
    pub(crate) fleet: Arc<Fleet>,
    /// Jobs of one queue at the same time.
    pub(crate) concurrency: usize,
    /// How long running jobs may go on at a stop.
    pub(crate) grace: Duration,
    /// True: stop.
    pub(crate) stop: watch::Receiver<bool>,
}

/// Works the queue of `J` until the process is to stop.
pub(crate) async fn work<J: Perform>(mut crew: Crew) {
    let mut pause = PAUSE_MIN;
    loop {
        let started = Instant::now();
        let Err(error) = one_worker::<J>(&mut crew).await else { return };
        if started.elapsed() >= WELL_AFTER {
            pause = PAUSE_MIN;
        }
        let why = one_line(&error);
        tracing::warn!("the {} worker ended, another starts in {pause:?}: {why}", J::QUEUE);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stopped(&mut crew.stop) => return,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Runs one worker: Ok when it was stopped, otherwise why it ended.
async fn one_worker<J: Perform>(crew: &mut Crew) -> Result<(), MonitorError> {
    let (worker, waker) = crew.fleet.enlist(J::QUEUE);
    let name = worker.name.clone();
    tracing::info!("worker {name} starts");
    let monitor = monitor::<J>(crew, worker.clone(), waker);
    let context = monitor.context();
    let mut running = std::pin::pin!(monitor.run());
    tokio::select! {
        ended = &mut running => {
            crew.fleet.mourn(worker);
            return ended;
        }
        () = stopped(&mut crew.stop) => {}
    }
    context.shutdown()?;
    if timeout(crew.grace, running).await.is_err() {
        tracing::warn!("the grace period ended with {} jobs still running", J::QUEUE);
    }
    hand_back(&crew.app, &name).await;
    Ok(())
}

fn monitor<J: Perform>(crew: &Crew, worker: Arc<Worker>, waker: Arc<AtomicWaker>) -> Monitor {
    let app = crew.app.clone();
    let concurrency = crew.concurrency;
    let config = Config::default()
        .queue(J::QUEUE)
        // How many it may hold: get_jobs hands out what is missing to that.
        .batch_size(concurrency)
        // A lock that is told late would take a job from whoever has it by then, and the fetch has locked it already.
        .lock_tasks(false)
        .heartbeat_interval(HEARTBEAT)
        .missed_heartbeats(HEARTBEATS_MISSED_MAX);
    // Inside `register`, because only there `parallelize(tokio::spawn)` compiles; without it every job of
    // the queue would share one task, and so one core.
    Monitor::new().register(move |_| {
        let (app, worker) = (app.clone(), worker.clone());
        let storage = PostgresStorage::<Payload>::new(app.runtime.pool())
            .with_config(config.clone())
            .poll_with_strategy(WakeOrInterval::new(waker.clone()))
            .with_codec(Untouched);
        WorkerBuilder::new(worker.name.clone())
            .backend(storage)
            .concurrency(concurrency)
            .parallelize(tokio::spawn)
            .build(move |Payload(payload): Payload, attempt: Attempt| {
                attempt::make::<J>(app.clone(), worker.begin(), payload, attempt)
            })
    })
}

async fn hand_back(app: &App, worker: &str) {
    match timeout(HAND_BACK_TIMEOUT, jobs::queue::hand_back(app.upkeep.pool(), worker)).await {
        Ok(Ok(0)) => tracing::info!("worker {worker} stopped"),
        Ok(Ok(jobs)) => tracing::info!("worker {worker} stopped and handed back {jobs} jobs"),
        Ok(Err(error)) => tracing::warn!("worker {worker} could not hand back its jobs: {error}"),
        Err(_) => tracing::warn!("worker {worker} could not hand back its jobs in time"),
    }
}

/// The library writes its errors over several lines.
fn one_line(error: &MonitorError) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: the process is ending.
    let _ = stop.wait_for(|stop| *stop).await;
}
