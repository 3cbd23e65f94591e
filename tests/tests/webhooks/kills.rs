//! Processes are killed again and again, and Postgres once: every message arrives, under one id.

use harness::WebhookKills;

#[tokio::test]
async fn nothing_is_lost_when_processes_and_the_database_are_killed() {
    let seed = rand::random();
    println!("seed {seed}");
    let outcome = WebhookKills::SMALL.run(seed).await;
    assert_eq!((outcome.lost, outcome.strange), (0, 0), "seed {seed}: {outcome:?}");
    assert!(outcome.not_delivered.is_empty(), "seed {seed}: {outcome:?}");
}

#[tokio::test]
#[ignore = "the full scale: deploy/test --soak webhook_kills"]
async fn soak_webhook_kills() {
    let seed = rand::random();
    println!("seed {seed}");
    let outcome = WebhookKills::FULL.run(seed).await;
    println!("{outcome:?}");
    assert_eq!((outcome.lost, outcome.strange), (0, 0), "seed {seed}: {outcome:?}");
    assert!(outcome.not_delivered.is_empty(), "seed {seed}: {outcome:?}");
}
