//! What a count costs. Ignored as it measures; run it with
//! `cargo test -p metering --release -- --ignored --nocapture --test-threads 1 hot_path`.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use super::*;

const COUNTS: u64 = 10_000_000;

#[test]
#[ignore = "measures"]
fn what_a_count_costs() {
    for (threads, distinct) in [(1, 1), (1, 1_000), (2, 1_000), (4, 1_000)] {
        let dir = tempfile::tempdir().unwrap();
        let limits = SpoolLimits { stripes: 8, slots_per_stripe: 4_096, ..LIMITS };
        let spool = open(dir.path(), 1, limits);
        let label = spool.label("list", Some(("calls", 1))).unwrap();
        let subjects: Vec<_> = (0..distinct).map(|n| subject(n, label)).collect();
        let start = Barrier::new(threads);
        let nanos: Vec<_> = thread::scope(|scope| {
            let counting = || {
                start.wait();
                let begun = Instant::now();
                for (_, subject) in (0..COUNTS).zip(subjects.iter().cycle()) {
                    spool.count(std::hint::black_box(subject)).unwrap();
                }
                begun.elapsed().as_nanos() as f64 / COUNTS as f64
            };
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(counting)).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        println!("{threads} threads, {distinct} subjects: {nanos:.1?} ns a count");
        spool.seal(minute(1)).unwrap();
        let requests: u64 = ship_all(&spool).iter().map(Batch::requests).sum();
        assert_eq!(requests, COUNTS * threads as u64);
    }
}

/// The first count of a subject after sealing claims a slot, and the first in a page has the kernel map it.
#[test]
#[ignore = "measures"]
fn what_a_first_count_costs() {
    let dir = tempfile::tempdir().unwrap();
    let limits = SpoolLimits { stripes: 8, slots_per_stripe: 4_096, ..LIMITS };
    let spool = open(dir.path(), 1, limits);
    let label = spool.label("list", None).unwrap();
    let subjects: Vec<_> = (0..1_000).map(|n| subject(n, label)).collect();
    for round in 1..=3 {
        let mut nanos: Vec<_> = subjects
            .iter()
            .map(|subject| {
                let begun = Instant::now();
                spool.count(subject).unwrap();
                begun.elapsed().as_nanos()
            })
            .collect();
        nanos.sort_unstable();
        println!(
            "round {round}: median {} ns, p99 {} ns, max {} ns",
            nanos[500], nanos[990], nanos[999]
        );
        let begun = Instant::now();
        spool.seal(minute(round)).unwrap();
        println!("sealing 1,000 subjects: {:.1?}", begun.elapsed());
    }
}
