//! What is lost or counted twice while edges, workers, Redis and Postgres are killed: the proof's own figures.

use harness::Kills;

use crate::bench::Length;
use crate::bench::figures::{Bar, Figure};
use crate::say;

pub(super) async fn measure(length: Length) -> Vec<Figure> {
    let (requests, kills) = if length == Length::Quick { (6_000, 6) } else { (200_000, 30) };
    let seed = rand::random();
    let outcome = Kills { requests, kills, seed }.run().await;
    say::note(&format!("seed {seed}: {outcome:?}"));
    let none = Bar::AtMost(0.0);
    vec![
        Figure { name: "lost_after_kills", value: outcome.lost() as f64, bar: none },
        Figure { name: "duplicated_after_kills", value: outcome.duplicated() as f64, bar: none },
        Figure { name: "cut_by_kills", value: outcome.cut as f64, bar: Bar::None },
    ]
}
