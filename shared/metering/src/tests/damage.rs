//! Bytes on disk are changed in every way: nothing panics, and the batches that were not touched are whole.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::Index;
use tempfile::TempDir;

use super::*;

const SMALL: SpoolLimits = SpoolLimits { bytes_max: 1 << 30, stripes: 1, slots_per_stripe: 16 };

/// What happens to a file's bytes.
#[derive(Debug, Clone)]
enum Harm {
    Flip(Index, u8),
    Cut(Index),
    Add(Vec<u8>),
    Zero(Index, Index),
    Remove,
}

impl Harm {
    fn befall(&self, path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        match self {
            Self::Flip(place, bits) if !bytes.is_empty() => *place.get_mut(&mut bytes) ^= bits,
            Self::Flip(..) => {}
            Self::Cut(length) => bytes.truncate(length.index(bytes.len() + 1)),
            Self::Add(more) => bytes.extend(more),
            Self::Zero(from, to) => {
                let (from, to) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
                bytes[from.min(to)..from.max(to)].fill(0);
            }
            Self::Remove => return fs::remove_file(path).unwrap(),
        }
        fs::write(path, bytes).unwrap();
    }
}

fn harms() -> impl Strategy<Value = Harm> {
    prop_oneof![
        4 => (any::<Index>(), 1..=255_u8).prop_map(|(place, bits)| Harm::Flip(place, bits)),
        2 => any::<Index>().prop_map(Harm::Cut),
        1 => prop::collection::vec(any::<u8>(), 1..40).prop_map(Harm::Add),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Harm::Zero(from, to)),
        1 => Just(Harm::Remove),
    ]
}

/// A spool that was killed with two compact batches (of 3 and 5 requests) and two segments (7 and 9), and the
/// paths of these and of the labels.
fn killed() -> (TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), 1, SMALL);
    fs::create_dir(spool.dir.batch(3).with_added_extension("new")).unwrap();
    let label = spool.label("list", Some(("calls", 1))).unwrap();
    for requests in [3, 5, 7, 9] {
        (0..requests).for_each(|n| spool.count(&subject(n, label)).unwrap());
        if requests < 9 {
            spool.seal(minute(1)).unwrap();
        }
    }
    let at = &spool.dir;
    fs::remove_dir(at.batch(3).with_added_extension("new")).unwrap();
    let paths = vec![at.batch(1), at.batch(2), at.segment(3), at.segment(4), at.labels()];
    (dir, paths)
}

#[test]
fn without_damage_all_is_there() {
    let (dir, paths) = killed();
    assert!(paths.iter().all(|path| path.exists()));
    let shipped = ship_all(&open(dir.path(), 2, LIMITS));
    assert_eq!(shipped.iter().map(Batch::requests).collect::<Vec<_>>(), [3, 5, 7, 9]);
    assert_chained(&shipped);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_damaged_file_harms_no_other_batch(file in 0..4_usize, harm in harms()) {
        let (dir, paths) = killed();
        harm.befall(&paths[file]);
        let spool = open(dir.path(), 2, LIMITS);
        let shipped = ship_all(&spool);
        let read: BTreeMap<u64, u64> =
            shipped.iter().map(|batch| (batch.number, batch.requests())).collect();
        for (index, requests) in [3, 5, 7, 9].into_iter().enumerate().filter(|(i, _)| *i != file) {
            prop_assert_eq!(read.get(&(index as u64 + 1)), Some(&requests));
        }
        let damaged = spool.health().unwrap().damaged_files;
        let lost = usize::from(read.len() < 4 && !matches!(harm, Harm::Remove));
        prop_assert_eq!(damaged, lost, "what is not read is set aside");
        prop_assert_eq!(spool.pending().unwrap().len(), 1, "its directory is gone all the same");
    }

    #[test]
    fn damaged_labels_cost_no_request(harm in harms()) {
        let (dir, paths) = killed();
        harm.befall(&paths[4]);
        let shipped = ship_all(&open(dir.path(), 2, LIMITS));
        prop_assert_eq!(shipped.iter().map(Batch::requests).collect::<Vec<_>>(), [3, 5, 7, 9]);
        for label in shipped.iter().flat_map(|batch| &batch.labels) {
            let known = label.route == "list" && label.meter == Some(("calls".to_owned(), 1));
            prop_assert!(known || *label == LabelText::unknown(), "{label:?}");
        }
    }

    #[test]
    fn any_name_with_any_bytes_may_lie_about(
        names in prop::collection::vec("[0-9]{0,21}\\.(segment|batch|new|damaged)|lock|labels", 1..4),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let (dir, paths) = killed();
        let boot = paths[0].parent().unwrap();
        for name in names.iter().filter(|name| !boot.join(name).exists()) {
            fs::write(boot.join(name), &bytes).unwrap();
        }
        let spool = open(dir.path(), 2, LIMITS);
        let requests: u64 = ship_all(&spool).iter().map(Batch::requests).sum();
        prop_assert_eq!(requests, 24);
    }
}

#[test]
fn damage_that_comes_after_adoption_is_set_aside_too() {
    let (dir, paths) = killed();
    let spool = open(dir.path(), 2, LIMITS);
    let [dead, _own] = spool.pending().unwrap().try_into().unwrap();
    fs::write(&paths[1], "something else").unwrap();
    let read: Vec<_> = dead.batches.iter().map(|pending| pending.read().is_ok()).collect();
    assert_eq!(read, [true, false, true, true]);
    assert_eq!(spool.health().unwrap().damaged_files, 1);
}

#[test]
fn a_damaged_compact_form_gives_way_to_its_segment() {
    let (dir, paths) = killed();
    let segment = &paths[2];
    fs::write(segment.with_extension("batch"), "torn").unwrap();
    let spool = open(dir.path(), 2, LIMITS);
    let shipped = ship_all(&spool);
    assert_eq!(shipped.iter().map(Batch::requests).collect::<Vec<_>>(), [3, 5, 7, 9]);
    assert_eq!(spool.health().unwrap().damaged_files, 1);
}

#[test]
fn a_batch_in_the_place_of_another_is_damage() {
    let (dir, paths) = killed();
    fs::copy(&paths[0], &paths[1]).unwrap();
    let shipped = ship_all(&open(dir.path(), 2, LIMITS));
    assert_eq!(shipped.iter().map(|batch| batch.number).collect::<Vec<_>>(), [1, 3, 4]);
}

#[test]
fn labels_of_a_damaged_segment_are_kept_with_it() {
    let (dir, paths) = killed();
    fs::write(&paths[3], "no segment").unwrap();
    let labels = fs::read(&paths[4]).unwrap();
    ship_all(&open(dir.path(), 2, LIMITS));
    let kept = dir.path().join(format!("{}-labels", Uuid::from_u128(1)));
    assert_eq!(fs::read(kept).unwrap(), labels);
}
