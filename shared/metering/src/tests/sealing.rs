//! What sealing does to minutes, totals and files.

use std::fs;

use super::*;

#[test]
fn nothing_counted_is_no_batch_but_the_minute_moves_on() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), 1, LIMITS);
    assert_eq!(spool.watermark(), MINUTE_0);
    assert_eq!(spool.seal(minute(5)).unwrap(), None);
    assert_eq!(spool.watermark(), MINUTE_0 + 5);
    spool.count(&subject(1, spool.label("list", None).unwrap())).unwrap();
    assert_eq!(spool.seal(minute(9)).unwrap(), Some(1));
    let shipped = ship_all(&spool);
    assert_eq!(shipped.len(), 1);
    assert_eq!(shipped[0].minute, MINUTE_0 + 5, "counted before minute 9 began");
}

#[test]
fn a_minute_never_goes_backwards() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), 1, LIMITS);
    let label = spool.label("list", None).unwrap();
    let mut watermarks = vec![spool.watermark()];
    for now in [3, 2, 2, 4, 0, 5, -7] {
        spool.count(&subject(1, label)).unwrap();
        spool.seal(minute(now)).unwrap();
        watermarks.push(spool.watermark());
        spool.seal(minute(now - 1)).unwrap();
        watermarks.push(spool.watermark());
    }
    assert!(watermarks.is_sorted(), "{watermarks:?}");
    let minutes: Vec<_> = ship_all(&spool).iter().map(|batch| batch.minute - MINUTE_0).collect();
    assert_eq!(minutes, [0, 3, 3, 3, 4, 4, 5]);
}

#[test]
fn a_clock_before_1970_is_minute_0() {
    let dir = tempfile::tempdir().unwrap();
    let early = Timestamp::from_second(-1_000_000).unwrap();
    let spool = Spool::open(dir.path(), Uuid::from_u128(1), EDGE, LIMITS, early).unwrap();
    assert_eq!(spool.watermark(), 0);
}

#[test]
fn totals_go_on_from_batch_to_batch() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), 1, LIMITS);
    let label = spool.label("list", None).unwrap();
    for batch in 1..=5 {
        for n in 0..batch * 10 {
            spool.count(&subject(n, label)).unwrap();
        }
        assert_eq!(spool.seal(minute(0)).unwrap(), Some(batch));
    }
    let shipped = ship_all(&spool);
    let totals: Vec<_> = shipped.iter().map(|batch| batch.total_before).collect();
    assert_eq!(totals, [0, 10, 30, 60, 100]);
    assert_chained(&shipped);
    assert!(ship_all(&spool).is_empty(), "what was forgotten is gone");
}

#[test]
fn a_batch_says_who_was_counted_for_what() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), 1, LIMITS);
    let (list, send) = (
        spool.label("list", Some(("calls", 1))).unwrap(),
        spool.label("send", Some(("messages", 3))).unwrap(),
    );
    spool.label("never used", None).unwrap();
    let subjects = [subject(1, list), subject(1, send), subject(2, list)];
    for (subject, times) in subjects.iter().zip(1..) {
        (0..times).for_each(|_| spool.count(subject).unwrap());
    }
    spool.seal(minute(1)).unwrap();
    let shipped = ship_all(&spool);
    let [batch] = shipped.as_slice() else { panic!("{shipped:?}") };
    assert_eq!((batch.edge_id, batch.boot_id), (EDGE, Uuid::from_u128(1)));
    let meters: Vec<_> = batch.labels.iter().filter_map(|label| label.meter.clone()).collect();
    assert_eq!(meters, [("calls".to_owned(), 1), ("messages".to_owned(), 3)]);
    let expected = subjects.iter().zip(["list", "send", "list"]).zip(1..);
    let expected = expected.map(|((subject, route), times)| (kind(subject, route), times));
    assert_eq!(sums([batch]), expected.collect());
}

#[test]
fn the_same_text_has_the_same_label() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), 1, LIMITS);
    let label = || spool.label("list", Some(("calls", 1))).unwrap();
    assert_eq!(label(), label());
    let others = [
        spool.label("list", Some(("calls", 2))).unwrap(),
        spool.label("list", Some(("other", 1))).unwrap(),
        spool.label("list", None).unwrap(),
        spool.label("other", Some(("calls", 1))).unwrap(),
    ];
    assert!(others.iter().all(|other| *other != label()));
}

#[test]
fn a_segment_that_cannot_be_compacted_is_a_batch_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), 1, LIMITS);
    let label = spool.label("list", None).unwrap();
    // The compact form cannot be written where a directory has its name.
    for number in [1, 2] {
        fs::create_dir(spool.dir.batch(number).with_added_extension("new")).unwrap();
    }
    for n in 0..50 {
        spool.count(&subject(n, label)).unwrap();
    }
    assert_eq!(spool.seal(minute(1)).unwrap(), Some(1));
    assert!(spool.dir.segment(1).exists() && !spool.dir.batch(1).exists());
    spool.count(&subject(0, label)).unwrap();
    spool.seal(minute(1)).unwrap();
    assert!(spool.dir.segment(2).exists());
    let shipped = ship_all(&spool);
    assert_eq!(shipped.iter().map(Batch::requests).collect::<Vec<_>>(), [50, 1]);
    assert_chained(&shipped);
}
