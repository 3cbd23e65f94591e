//! Every process tries each tick of a schedule; one turns it into jobs.

use jiff::{SignedDuration, Timestamp};
use jobs::catalog::Usage;
use jobs::schedule::claim;
use jobs::{Options, enqueue};
use store::Store;
use tokio::task::JoinSet;

use super::{statuses, store_as};

const PROCESSES: usize = 6;
const TICKS: i32 = 40;

fn tick(number: i32) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1) * number
}

/// One of several processes, each of which tries every tick. How many were its own.
async fn process(store: Store) -> usize {
    let mut claimed = 0;
    for number in 1..=TICKS {
        let mut tx = store.control().await.expect("a transaction");
        if let Some(claim) = claim(&mut tx, "test", tick(number)).await.expect("a try") {
            let before = (number > 1).then(|| tick(number - 1));
            assert!(claim.last_tick <= before, "{claim:?} at {number}");
            enqueue(&mut tx, &Usage::Check, Options::default()).await.expect("a job");
            claimed += 1;
        }
        tx.commit().await.expect("a commit");
    }
    claimed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_processes_one_turns_a_tick_into_jobs() {
    let (database, store) = store_as("pytake_worker").await;
    let mut processes = JoinSet::new();
    for _ in 0..PROCESSES {
        processes.spawn(process(store.clone()));
    }
    let claimed: usize = processes.join_all().await.into_iter().sum();
    let added = statuses(&mut database.connect().await).await.len();
    // A slow process may find ticks that are over: those of the fast ones were for all in between.
    assert!(claimed <= TICKS.unsigned_abs() as usize && claimed > 0, "{claimed}");
    assert_eq!(added, claimed);
}

#[tokio::test]
async fn a_tick_that_was_rolled_back_is_the_next_ones() {
    let (_database, store) = store_as("pytake_worker").await;
    let attempt = async |number| {
        let mut tx = store.control().await.expect("a transaction");
        let claimed = claim(&mut tx, "test", tick(number)).await.expect("a try");
        (tx, claimed)
    };
    let (tx, claimed) = attempt(1).await;
    assert_eq!(claimed.map(|claim| claim.last_tick), Some(None));
    drop(tx);
    let (tx, claimed) = attempt(1).await;
    assert_eq!(claimed.map(|claim| claim.last_tick), Some(None));
    tx.commit().await.expect("a commit");
    assert_eq!(attempt(1).await.1, None);
    assert_eq!(attempt(4).await.1.map(|claim| claim.last_tick), Some(Some(tick(1))));
}
