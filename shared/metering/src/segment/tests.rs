use std::fs;
use std::sync::atomic::Ordering;

use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::layout;
use crate::tally::Tally;

const STRIPES: u32 = 4;
const SLOTS: u32 = 128;
const ALL: u64 = (STRIPES * SLOTS) as u64;

fn segment() -> (TempDir, Segment) {
    let dir = tempfile::tempdir().unwrap();
    let head = Head {
        stripes: STRIPES,
        slots: SLOTS,
        number: 1,
        edge_id: Uuid::nil(),
        boot_id: Uuid::nil(),
        minute: 0,
        total_before: Some(0),
    };
    let segment = Segment::create(&dir.path().join("1.segment"), head).unwrap();
    (dir, segment)
}

fn key(n: u64) -> Key {
    Key([0, n, 0, 0, 0])
}

fn requests(segment: &Segment) -> u64 {
    Tally::of(segment.records()).unwrap().requests
}

#[test]
fn the_file_has_its_blocks_and_what_is_counted() {
    let (dir, segment) = segment();
    let path = dir.path().join("1.segment");
    segment.count(0, &key(1)).unwrap();
    segment.count(3, &key(1)).unwrap();
    segment.count(7, &key(2)).unwrap();
    let from_file = Tally::of(layout::records(&fs::read(&path).unwrap())).unwrap();
    assert_eq!(from_file, Tally::of(segment.records()).unwrap());
    assert_eq!(from_file.by_key.into_iter().collect::<Vec<_>>(), [(key(1), 2), (key(2), 1)]);
    let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&path).unwrap());
    assert!(blocks * 512 >= segment.head.file_bytes(), "{blocks} blocks: a hole is a SIGBUS");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn a_key_keeps_its_slot() {
    let (_dir, segment) = segment();
    for _ in 0..100 {
        segment.count(2, &key(9)).unwrap();
    }
    assert_eq!(segment.records().filter(|record| record.tag != EMPTY).count(), 1);
    assert_eq!(requests(&segment), 100);
}

#[test]
fn a_full_stripe_spills_into_the_others_until_all_are_full() {
    let (_dir, segment) = segment();
    for n in 0..ALL {
        segment.count(1, &key(n)).unwrap();
    }
    assert_eq!(segment.count(1, &key(ALL)), Err(Full));
    for n in 0..ALL {
        assert!(segment.count(1, &key(n)).is_ok(), "a key that has a slot is counted");
    }
    assert_eq!(requests(&segment), 2 * ALL);
    assert_eq!(segment.fill(), WANTED | CROWDED | BRIM);
}

#[test]
fn pressure_is_raised_at_a_half_and_at_three_quarters() {
    let (_dir, segment) = segment();
    let raised: Vec<_> = (0..u64::from(SLOTS) * 7 / 8)
        .map(|n| (n + 1, segment.count(0, &key(n)).unwrap()))
        .filter(|(_, raise)| *raise != 0)
        .collect();
    assert_eq!(raised.first(), Some(&(65, WANTED)));
    let crowded = raised.iter().find(|(_, raise)| raise & CROWDED != 0);
    // Some keys may have found no place near and gone to another stripe.
    assert!(crowded.is_some_and(|(n, _)| (97..=100).contains(n)), "{crowded:?}");
}

#[test]
fn the_brim_is_seven_eighths_of_all_stripes() {
    let (_dir, segment) = segment();
    let brim = (1..=ALL).find(|n| segment.count(0, &key(*n)).unwrap() & BRIM != 0);
    // One more than seven eighths, though the last stripe is only half full then.
    assert_eq!(brim, Some(ALL * 7 / 8 + 1));
}

#[test]
fn a_slot_that_is_being_written_is_passed_over() {
    let (_dir, segment) = segment();
    segment.count(0, &key(5)).unwrap();
    let place = segment.map.slots().iter().position(|s| s.tag.load(Ordering::Relaxed) != EMPTY);
    let slot = &segment.map.slots()[place.unwrap()];
    slot.tag.store(CLAIMED, Ordering::Relaxed);
    slot.count.store(0, Ordering::Relaxed);
    segment.count(0, &key(5)).unwrap();
    segment.count(0, &key(5)).unwrap();
    assert_eq!(requests(&segment), 2);
}

#[test]
fn nothing_is_left_of_a_segment_that_cannot_be_made() {
    let (dir, segment) = segment();
    // A directory stands where the file should go.
    let path = dir.path().join("2.segment");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("in the way"), "").unwrap();
    assert!(matches!(Segment::create(&path, segment.head), Err(SpoolError::Io { .. })));
    assert!(!path.with_added_extension("new").exists());
}

#[test]
fn zeros_are_as_good_as_set_apart_blocks() {
    let mut file = tempfile::tempfile().unwrap();
    write_zeros(&mut file, 150_001).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 150_001);
}
