//! Waiting on a condition, with a bound. The only place of the tests that sleeps.

use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_millis(10);

/// Asks until `answer` has something to say or `bound` is over.
pub fn poll<T>(bound: Duration, mut answer: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + bound;
    loop {
        if let Some(found) = answer() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(STEP);
    }
}

/// As [`poll`], for questions that are futures.
pub async fn poll_async<T, F: Future<Output = Option<T>>>(
    bound: Duration,
    mut answer: impl FnMut() -> F,
) -> Option<T> {
    let end = Instant::now() + bound;
    loop {
        if let Some(found) = answer().await {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        tokio::time::sleep(STEP).await;
    }
}
