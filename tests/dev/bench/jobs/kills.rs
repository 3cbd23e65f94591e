//! What is lost or done twice while workers and Postgres are killed: the proof's own figures.

use harness::{WorkerKills, WorkerKillsOutcome};

use crate::bench::Length;
use crate::bench::figures::{Bar, Figure};
use crate::say;

pub(super) async fn measure(length: Length) -> Vec<Figure> {
    let kills = if length == Length::Quick { WorkerKills::SMALL } else { WorkerKills::FULL };
    let seed = rand::random();
    let outcome = kills.run(seed).await;
    say::note(&format!("seed {seed}: {outcome:?}"));
    let WorkerKillsOutcome { lost, duplicated, .. } = outcome;
    let none = Bar::AtMost(0.0);
    vec![
        Figure { name: "effects_lost", value: lost as f64, bar: none },
        Figure { name: "effects_duplicated", value: duplicated as f64, bar: none },
    ]
}
