//! The proof: every effect once, whoever is killed.

use harness::{WorkerKills, WorkerKillsOutcome, variable};

/// `deploy/test --soak every_effect`: 50,000 jobs, six processes, thirty kills, one of Postgres.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_effect_happens_once_whatever_is_killed() {
    let kills =
        if variable("HARNESS_SOAK").is_some() { WorkerKills::FULL } else { WorkerKills::SMALL };
    let seed = rand::random();
    println!("seed {seed}");
    let outcome = kills.run(seed).await;
    let WorkerKillsOutcome { lost, duplicated, not_done, .. } = &outcome;
    assert!(*lost == 0 && *duplicated == 0 && not_done.is_empty(), "seed {seed}: {outcome:?}");
}
