//! One count on the hot path, while the spool is sealed each second as at the edge.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use domain::clock::{Clock as _, SystemClock};
use domain::id::{ApiKeyId, TenantId};
use metering::{Label, Outcome, Principal, Spool, SpoolLimits, Subject};
use uuid::Uuid;

use crate::bench::figures::{Bar, Figure, median};
use crate::bench::{Length, allocations};

/// As many tenants, keys and routes together as a busy edge counts under in a second.
const SUBJECTS: u128 = 1_000;
/// Counts that are timed together: one alone takes less than the clock.
const ROUND: usize = 1_000;
const LIMITS: SpoolLimits = SpoolLimits { bytes_max: 1 << 30, stripes: 4, slots_per_stripe: 4_096 };
const SEALED_EACH: Duration = Duration::from_secs(1);

pub(super) fn measure(length: Length) -> Result<Vec<Figure>> {
    let lasts = Duration::from_secs(if length == Length::Quick { 3 } else { 20 });
    let home = tempfile::tempdir()?;
    let now = SystemClock.now();
    let spool = Spool::open(home.path(), Uuid::now_v7(), Uuid::now_v7(), LIMITS, now)?;
    let label = spool.label("/bench", Some(("messages", 1)))?;
    let subjects: Vec<_> = (0..SUBJECTS).map(|number| subject(number, label)).collect();

    let done = AtomicBool::new(false);
    let (nanos, allocated, sealed) = thread::scope(|scope| {
        let sealing = scope.spawn(|| seal_until(&spool, &done));
        let counted = count(&spool, &subjects, lasts);
        done.store(true, Ordering::Relaxed);
        let sealed = sealing.join();
        (counted.0, counted.1, sealed)
    });
    let Ok(Ok(())) = sealed else { bail!("the spool cannot be sealed: {sealed:?}") };
    let counts = (nanos.len() * ROUND) as f64;
    Ok(vec![
        Figure { name: "count_p50_ns", value: median(&nanos), bar: Bar::Below(50.0) },
        // A thread's first count asks for a node of `arc-swap`.
        Figure {
            name: "count_allocations_per_million",
            value: (allocated as f64 * 1e6 / counts).floor(),
            bar: Bar::AtMost(0.0),
        },
    ])
}

/// Nanoseconds a count, for each round, and how often memory was asked for in all.
fn count(spool: &Spool, subjects: &[Subject], lasts: Duration) -> (Vec<f64>, u64) {
    let began = Instant::now();
    let (mut nanos, mut allocated) = (Vec::new(), 0);
    while began.elapsed() < lasts {
        let round = Instant::now();
        allocated += allocations::during(|| {
            for subject in subjects.iter().cycle().take(ROUND) {
                let _ = black_box(spool.count(black_box(subject)));
            }
        });
        nanos.push(round.elapsed().as_nanos() as f64 / ROUND as f64);
    }
    (nanos, allocated)
}

fn seal_until(spool: &Spool, done: &AtomicBool) -> Result<()> {
    let mut sealed = Instant::now();
    while !done.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(20));
        if sealed.elapsed() >= SEALED_EACH {
            spool.seal(SystemClock.now())?;
            sealed = Instant::now();
        }
    }
    Ok(())
}

fn subject(number: u128, label: Label) -> Subject {
    Subject {
        tenant: TenantId::from_uuid(Uuid::from_u128(number / 10)),
        principal: Principal::ApiKey(ApiKeyId::from_uuid(Uuid::from_u128(number))),
        label,
        outcome: Outcome::Success,
    }
}
