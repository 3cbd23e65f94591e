//! Processes are killed again and again, and Postgres once: every message arrives, under one id.

use harness::{WebhookKills, variable};

/// `deploy/test --soak every_message`: 100,000 messages, four processes, twenty-five kills, one of Postgres.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_arrives_whoever_is_killed() {
    let kills =
        if variable("HARNESS_SOAK").is_some() { WebhookKills::FULL } else { WebhookKills::SMALL };
    let seed = rand::random();
    println!("seed {seed}");
    let outcome = kills.run(seed).await;
    println!("{outcome:?}");
    assert_eq!((outcome.lost, outcome.strange), (0, 0), "seed {seed}: {outcome:?}");
    assert!(outcome.not_delivered.is_empty(), "seed {seed}: {outcome:?}");
}
