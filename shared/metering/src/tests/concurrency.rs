//! Many threads count while another seals: every count is in exactly one batch.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

const THREADS: u64 = 8;
const COUNTS: u64 = 100_000;

/// Numbers without a pattern, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        // Xorshift (Marsaglia 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn count_many(spool: &Spool, seed: u64, labels: [Label; 2]) -> BTreeMap<Kind, u64> {
    let mut numbers = Numbers(seed);
    let mut counted = BTreeMap::new();
    for _ in 0..COUNTS {
        let number = numbers.next();
        let of = usize::from(number & 1 == 1);
        let subject = subject((number >> 1) % 200, labels[of]);
        spool.count(&subject).unwrap();
        *counted.entry(kind(&subject, ["list", "send"][of])).or_default() += 1;
    }
    counted
}

#[test]
fn every_count_is_in_one_batch_whatever_the_moment_of_sealing() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), 1, LIMITS);
    let labels = [spool.label("list", None).unwrap(), spool.label("send", None).unwrap()];
    let over = AtomicBool::new(false);
    let mut shipped = Vec::new();
    let counted = thread::scope(|scope| {
        let threads: Vec<_> = (1..=THREADS)
            .map(|seed| {
                scope.spawn({
                    let spool = &spool;
                    move || count_many(spool, seed, labels)
                })
            })
            .collect();
        let sealer = scope.spawn(|| {
            let (mut shipped, mut watermark) = (Vec::new(), spool.watermark());
            for now in 0.. {
                spool.seal(minute(now)).unwrap();
                let next_watermark = spool.watermark();
                let batches = ship_all(&spool);
                let first = batches.first().map_or(watermark, |batch| batch.minute);
                assert!(first >= watermark, "all that was not listed is of that minute or later");
                watermark = next_watermark;
                shipped.extend(batches);
                if over.load(Ordering::Acquire) {
                    break;
                }
            }
            shipped
        });
        let counted: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        over.store(true, Ordering::Release);
        shipped.extend(sealer.join().unwrap());
        counted
    });
    spool.seal(minute(0)).unwrap();
    shipped.extend(ship_all(&spool));

    let mut expected = BTreeMap::new();
    for (kind, requests) in counted.into_iter().flatten() {
        *expected.entry(kind).or_default() += requests;
    }
    assert_eq!(sums(&shipped), expected);
    assert_chained(&shipped);
    assert_eq!(shipped.last().unwrap().total_after(), THREADS * COUNTS);
    assert!(shipped.len() > 2, "sealed while counting");
}

#[test]
fn two_sealers_take_turns() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), 1, LIMITS);
    let label = spool.label("list", None).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..25 {
                    spool.count(&subject(n, label)).unwrap();
                    spool.seal(minute(0)).unwrap();
                }
            });
        }
    });
    let shipped = ship_all(&spool);
    assert_chained(&shipped);
    assert_eq!(shipped.iter().map(Batch::requests).sum::<u64>(), 100);
}
