//! A real process is really killed while it counts and seals.
//!
//! The child is this test binary, told to run [`child`] alone. It counts in several threads and says after each
//! count how many it has made; the parent kills it in the middle of that. What the next process finds must be
//! all that was said, and at most one more a thread: the count that was made and not said yet.
//!
//! A binary of its own: to start a process copies, for a moment, the locks of all tests that run beside.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use domain::id::TenantId;
use jiff::Timestamp;
use metering::{Batch, Label, Outcome, Principal, Spool, SpoolLimits, Subject};
use uuid::Uuid;

const LIMITS: SpoolLimits = SpoolLimits { bytes_max: 1 << 30, stripes: 4, slots_per_stripe: 1_024 };
const THREADS: u64 = 4;
const KILLS: u128 = 30;

/// Not a test: what the killed process does. Takes the spool's directory and the boot's number, a line each.
#[test]
#[ignore = "runs until it is killed; the parent starts it"]
fn child() {
    let mut told = std::io::stdin().lines().map_while(Result::ok);
    // Run by hand, it has nobody to say it what to do.
    let (Some(dir), Some(boot)) = (told.next(), told.next()) else { return };
    let spool = open(Path::new(&dir), boot.parse().unwrap());
    let labels: Vec<_> =
        (0..THREADS).map(|thread| spool.label(&thread.to_string(), None).unwrap()).collect();
    thread::scope(|scope| {
        for (thread, label) in labels.into_iter().enumerate() {
            let spool = &spool;
            scope.spawn(move || {
                for counted in 1.. {
                    spool.count(&subject(counted % 100, label)).unwrap();
                    // One call, so a line of another thread does not come between.
                    let line = format!("counted {thread} {counted}\n");
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
        for now in 0.. {
            spool.seal(Timestamp::from_second(now * 60).unwrap()).unwrap();
        }
    });
}

fn open(dir: &Path, boot: u128) -> Spool {
    Spool::open(dir, Uuid::from_u128(boot), Uuid::nil(), LIMITS, Timestamp::UNIX_EPOCH).unwrap()
}

fn subject(tenant: u64, label: Label) -> Subject {
    let tenant = TenantId::from_uuid(Uuid::from_u128(tenant.into()));
    Subject { tenant, principal: Principal::None, label, outcome: Outcome::Success }
}

/// Starts a child, kills it once it has said so many lines, and returns what each thread has said last.
fn count_until_killed(dir: &Path, boot: u128, lines: usize) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{}\n{boot}", dir.display()).unwrap();
    drop(stdin);

    let mut said = vec![0; usize::try_from(THREADS).unwrap()];
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let mut heard = 0;
    while stdout.read_line(&mut line).unwrap() > 0 {
        // The last line may be torn; what it says was said, and does not have to be known here.
        if let Some((thread, counted)) = line.ends_with('\n').then(|| parse(&line)).flatten() {
            said[thread] = counted;
            heard += 1;
            if heard == lines {
                child.kill().unwrap();
            }
        }
        line.clear();
    }
    child.wait().unwrap();
    assert!(heard >= lines, "the child ended by itself after {heard} lines");
    said
}

fn parse(line: &str) -> Option<(usize, u64)> {
    let (thread, counted) = line.trim_end().strip_prefix("counted ")?.split_once(' ')?;
    Some((thread.parse().ok()?, counted.parse().ok()?))
}

/// Takes all that `boot` left, and what else is there with it.
fn ship(spool: &Spool, boot: Uuid) -> Vec<Batch> {
    let mut shipped = Vec::new();
    for boot in spool.pending().unwrap() {
        let mut total = 0;
        for pending in boot.batches {
            let batch = pending.read().unwrap();
            assert_eq!(batch.total_before, total, "batch {}", batch.number);
            total = batch.total_after();
            shipped.push(batch);
            pending.forget().unwrap();
        }
        if let Some(predecessor) = boot.predecessor {
            assert_eq!(predecessor.total, Some(total));
            predecessor.remove().unwrap();
        }
    }
    shipped.retain(|batch| batch.boot_id == boot);
    shipped
}

#[test]
fn a_killed_process_has_lost_nothing_and_nothing_counts_twice() {
    let dir = tempfile::tempdir().unwrap();
    for boot in 1..=KILLS {
        // Some right at the start, some after many batches.
        let lines = usize::try_from(boot * boot * boot * 17 % 4_001).unwrap();
        let said = count_until_killed(dir.path(), boot, lines);
        let successor = open(dir.path(), 1_000 + boot);
        let mut found: BTreeMap<String, u64> = BTreeMap::new();
        for batch in ship(&successor, Uuid::from_u128(boot)) {
            for row in batch.rows {
                let thread = &batch.labels[usize::from(row.label)].route;
                *found.entry(thread.clone()).or_default() += row.requests;
            }
        }
        for (thread, said) in said.into_iter().enumerate() {
            let found = found.get(&thread.to_string()).copied().unwrap_or_default();
            assert!(
                (said..=said + 1).contains(&found),
                "kill {boot}: thread {thread} said {said}, {found} were found"
            );
        }
        // The successor's own, empty boot is left for the next round.
        drop(successor);
    }
}
