//! The kill test: what clients received is what is counted, whatever is killed meanwhile.

use harness::{Kills, variable};

/// At full scale: 200,000 requests and 30 kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_that_a_client_received_is_counted_once() {
    let soak = variable("HARNESS_SOAK").is_some();
    let given = variable("HARNESS_SEED").and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    let (requests, kills) = if soak { (200_000, 30) } else { (6_000, 6) };
    println!("seed {seed}");
    let outcome = Kills { requests, kills, seed }.run().await;
    println!("{outcome:?}");
    assert_eq!((outcome.lost(), outcome.duplicated()), (0, 0), "seed {seed}: {outcome:?}");
    assert_eq!(outcome.kills, kills);
    assert!(outcome.received > requests / 2, "seed {seed}: {outcome:?}");
    // A few of each kill, or the figure would say nothing.
    assert!(outcome.cut <= kills * 24, "seed {seed}: {outcome:?}");
    assert_eq!(outcome.discrepancies, Vec::<String>::new(), "seed {seed}");
}
