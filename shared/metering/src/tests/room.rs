//! What happens when there is no place left: requests are kept out in time, and no count is lost.

use std::fs;

use super::*;

/// A segment of 4096 + 2 × 64 × 64 = 12,288 bytes.
const SMALL: SpoolLimits = SpoolLimits { bytes_max: 30_000, stripes: 2, slots_per_stripe: 64 };

/// Counts other subjects for as long as the spool lets them in.
fn count_while_there_is_room(spool: &Spool, label: Label) -> u64 {
    let mut counted = 0;
    while spool.has_room() && counted < 1_000 {
        spool.count(&subject(counted, label)).unwrap();
        counted += 1;
    }
    counted
}

#[test]
fn a_spool_at_its_bound_keeps_requests_out_and_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), 1, SMALL);
    let label = spool.label("list", None).unwrap();
    let mut counted = 0;
    loop {
        counted += count_while_there_is_room(&spool, label).min(40);
        match spool.seal(minute(0)) {
            Ok(sealed) => assert!(sealed.is_some()),
            Err(SpoolError::Bound { bytes_used, bytes_max }) => {
                assert!(bytes_used + 12_288 > bytes_max);
                break;
            }
            Err(error) => panic!("{error:?}"),
        }
        assert!(counted < 100_000, "the bound is never reached");
    }
    assert!(!spool.has_room());
    let health = spool.health().unwrap();
    assert!(!health.has_room && health.bytes_used <= health.bytes_max, "{health:?}");
    assert!(health.pending_batches > 0);
}

#[test]
fn there_is_room_again_once_batches_are_shipped_and_no_count_was_lost() {
    let dir = tempfile::tempdir().unwrap();
    // One segment fits, two do not.
    let spool = open(dir.path(), 1, SpoolLimits { bytes_max: 20_000, ..SMALL });
    let label = spool.label("list", None).unwrap();
    spool.count(&subject(0, label)).unwrap();
    assert!(spool.seal(minute(0)).is_err());
    assert!(spool.has_room(), "the segment is not crowded yet");
    assert_eq!(spool.watermark(), MINUTE_0, "nothing changed");

    let counted = 1 + count_while_there_is_room(&spool, label);
    assert!(!spool.has_room());
    assert!((48..64 * 2).contains(&counted), "{counted}");
    // Requests that were let in before are counted: there is place for another quarter.
    for n in 500..516 {
        spool.count(&subject(n, label)).unwrap();
    }
    assert!(spool.seal(minute(0)).is_err(), "still stuck");
    assert!(!spool.has_room());

    let spool = reopened_larger(spool, dir.path());
    let shipped = ship_all(&spool);
    assert_eq!(shipped.iter().map(Batch::requests).sum::<u64>(), counted + 16);
}

fn reopened_larger(spool: Spool, dir: &Path) -> Spool {
    drop(spool);
    open(dir, 2, LIMITS)
}

#[test]
fn a_spool_over_its_bound_opens_so_that_it_can_be_shipped() {
    let dir = tempfile::tempdir().unwrap();
    let tight = SpoolLimits { bytes_max: 1, ..SMALL };
    let spool = open(dir.path(), 1, tight);
    spool.count(&subject(0, spool.label("list", None).unwrap())).unwrap();
    drop(spool);
    let spool = open(dir.path(), 2, tight);
    assert!(spool.has_room());
    assert_eq!(ship_all(&spool).len(), 1);
}

#[test]
fn a_disk_that_refuses_a_segment_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), 1, SMALL);
    let label = spool.label("list", None).unwrap();
    let in_the_way = spool.dir.segment(2).with_added_extension("new");
    fs::create_dir(&in_the_way).unwrap();
    let counted = (0..49).inspect(|n| spool.count(&subject(*n, label)).unwrap()).count();
    assert!(spool.wants_sealing() && spool.has_room());
    assert!(matches!(spool.seal(minute(1)), Err(SpoolError::Io { .. })));
    assert!(!spool.has_room(), "crowded, and no other segment");

    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(spool.seal(minute(1)).unwrap(), Some(1));
    assert!(spool.has_room() && !spool.wants_sealing());
    assert_eq!(ship_all(&spool)[0].requests(), counted as u64);
}

#[test]
fn a_sealer_that_does_not_come_keeps_requests_out_before_the_last_slot() {
    let dir = tempfile::tempdir().unwrap();
    let limits = SpoolLimits { stripes: 2, slots_per_stripe: 256, ..LIMITS };
    let spool = open(dir.path(), 1, limits);
    let label = spool.label("list", None).unwrap();
    let counted = count_while_there_is_room(&spool, label);
    assert!((449..480).contains(&counted), "seven eighths of 512 are 448: {counted}");
    spool.seal(minute(0)).unwrap();
    assert!(spool.has_room());
    assert_eq!(ship_all(&spool)[0].requests(), counted);
}

#[test]
fn a_full_segment_says_so_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), 1, SMALL);
    let label = spool.label("list", None).unwrap();
    let counted = (0..1_000).filter(|n| spool.count(&subject(*n, label)).is_ok()).count();
    assert_eq!(counted, 128);
    assert!(!spool.has_room());
    spool.seal(minute(0)).unwrap();
    assert_eq!(ship_all(&spool)[0].requests(), 128);
}
