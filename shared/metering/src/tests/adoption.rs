//! What the next process finds when one ended, at any of the moments at which it can end.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::layout::TOTAL_BEFORE_OFFSET;

fn count_some(spool: &Spool, requests: u64) {
    let label = spool.label("list", None).unwrap();
    (0..requests).for_each(|n| spool.count(&subject(n, label)).unwrap());
}

/// Bytes of the segment's file as a kill before the total was noted leaves them.
fn without_total(spool: &Spool, number: u64) {
    let path = spool.dir.segment(number);
    let mut bytes = fs::read(&path).unwrap();
    let place = usize::try_from(TOTAL_BEFORE_OFFSET).unwrap();
    bytes[place..place + 8].copy_from_slice(&u64::MAX.to_ne_bytes());
    fs::write(&path, bytes).unwrap();
}

#[test]
fn what_was_not_sealed_is_shipped_by_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), 1, LIMITS);
    count_some(&first, 30);
    first.seal(minute(4)).unwrap();
    count_some(&first, 12);
    drop(first);

    let second = Spool::open(dir.path(), Uuid::from_u128(2), Uuid::nil(), LIMITS, minute(9));
    let second = second.unwrap();
    assert_eq!(second.edge_id(), EDGE, "it is the same edge");
    let [dead, own] = second.pending().unwrap().try_into().unwrap();
    assert!(own.predecessor.is_none() && own.batches.is_empty());
    let predecessor = dead.predecessor.as_ref().unwrap();
    assert_eq!((predecessor.total, predecessor.last_minute), (Some(42), Some(MINUTE_0 + 4)));
    assert_eq!(second.health().unwrap().pending_batches, 2);
    let shipped = ship(dead);
    assert_chained(&shipped);
    assert_eq!(
        shipped.iter().map(|b| (b.number, b.minute - MINUTE_0)).collect::<Vec<_>>(),
        [(1, 0), (2, 4)]
    );
    assert!(shipped.iter().all(|batch| batch.edge_id == EDGE));

    assert_eq!(second.health().unwrap().pending_batches, 0);
    assert_eq!(second.pending().unwrap().len(), 1, "the directory is gone");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "edge_id and one boot");
}

#[test]
fn a_process_that_lives_keeps_its_batches() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (open(dir.path(), 1, LIMITS), open(dir.path(), 2, LIMITS));
    count_some(&first, 5);
    first.seal(minute(0)).unwrap();
    assert!(ship_all(&second).is_empty());
    drop(first);
    assert_eq!(ship_all(&second).len(), 2);
}

#[test]
fn an_adopted_boot_is_not_adopted_by_a_third() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), 1, LIMITS);
    count_some(&first, 5);
    drop(first);
    let (second, third) = (open(dir.path(), 2, LIMITS), open(dir.path(), 3, LIMITS));
    let adopted = second.pending().unwrap();
    assert_eq!(adopted.len(), 2);
    assert!(ship_all(&third).is_empty());
    // The second ends before it shipped anything.
    drop((second, adopted));
    assert_eq!(ship_all(&third).iter().map(Batch::requests).collect::<Vec<_>>(), [5, 0]);
}

#[test]
fn a_predecessor_with_batches_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    count_some(&open(dir.path(), 1, LIMITS), 5);
    let second = open(dir.path(), 2, LIMITS);
    let [dead, _own] = second.pending().unwrap().try_into().unwrap();
    let refused = dead.predecessor.unwrap().remove();
    assert!(matches!(refused, Err(SpoolError::Unshipped { batches: 1 })));
    assert_eq!(ship_all(&second)[0].requests(), 5);
}

/// A kill after the next segment was made and before the sums of the one before it were.
#[test]
fn totals_that_a_kill_left_open_are_taken_from_the_batch_before() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), 1, LIMITS);
    fs::create_dir(first.dir.batch(1).with_added_extension("new")).unwrap();
    fs::create_dir(first.dir.batch(2).with_added_extension("new")).unwrap();
    for requests in [3, 5, 7] {
        count_some(&first, requests);
        first.seal(minute(0)).unwrap();
    }
    assert_eq!(first.pending().unwrap()[0].batches.len(), 3);
    without_total(&first, 2);
    drop(first);

    // The first to adopt can compact nothing, ships one batch and is killed.
    let second = open(dir.path(), 2, LIMITS);
    let [mut dead, _own] = second.pending().unwrap().try_into().unwrap();
    assert_eq!(dead.batches.len(), 4, "three, and the one that was active");
    dead.batches.remove(0).forget().unwrap();
    drop((second, dead));

    let third = open(dir.path(), 3, LIMITS);
    let [dead, ..] = <[Boot; 3]>::try_from(third.pending().unwrap()).unwrap();
    let read: Vec<_> = dead.batches.iter().map(|pending| pending.read().unwrap()).collect();
    let totals: Vec<_> = read.iter().map(|b| (b.total_before, b.requests())).collect();
    assert_eq!(totals, [(3, 5), (8, 7), (15, 0)]);
}

/// A kill after the compact form got its name and before the segment was removed.
#[test]
fn a_batch_in_both_forms_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), 1, LIMITS);
    count_some(&first, 5);
    let segment = fs::read(first.dir.segment(1)).unwrap();
    first.seal(minute(0)).unwrap();
    fs::write(first.dir.segment(1), &segment).unwrap();
    assert_eq!(first.health().unwrap().pending_batches, 1);
    let again = first.dir.segment(1);
    drop(first);

    let second = open(dir.path(), 2, LIMITS);
    let [dead, _own] = second.pending().unwrap().try_into().unwrap();
    assert!(!again.exists());
    let shipped = ship(dead);
    assert_eq!(shipped.iter().map(Batch::requests).collect::<Vec<_>>(), [5, 0]);
}

#[test]
fn adopted_segments_are_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let large = SpoolLimits { stripes: 8, slots_per_stripe: 4_096, ..LIMITS };
    for boot in 1..=5 {
        count_some(&open(dir.path(), boot, large), 5);
    }
    let last = open(dir.path(), 6, LIMITS);
    assert!(last.health().unwrap().bytes_used > 5 * 8 * 4_096 * 64);
    assert_eq!(last.pending().unwrap().len(), 6);
    let active = 4_096 + 4 * 1_024 * 64;
    assert!(last.health().unwrap().bytes_used < active + 10_000, "restarts do not fill the disk");
    assert_eq!(ship_all(&last).iter().map(Batch::requests).sum::<u64>(), 25);
}

#[test]
fn two_starts_with_one_id_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path(), 1, LIMITS);
    let second = Spool::open(dir.path(), Uuid::from_u128(1), EDGE, LIMITS, minute(0));
    assert!(matches!(second, Err(SpoolError::Io { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "edge_id and one boot");
}

#[test]
fn directories_and_files_are_the_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(&dir.path().join("a/b"), 1, LIMITS);
    count_some(&spool, 1);
    spool.seal(minute(0)).unwrap();
    let boot = dir.path().join("a/b").join(Uuid::from_u128(1).to_string());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for directory in [&dir.path().join("a"), &dir.path().join("a/b"), &boot] {
        assert_eq!(mode(directory), 0o700);
    }
    for entry in fs::read_dir(&boot).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
