//! Sums: what the slots of a segment come to, by key.

use std::collections::BTreeMap;

use crate::error::Damage;
use crate::key::Key;
use crate::layout::{CLAIMED, EMPTY, Record};

/// Requests by key, and all together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) by_key: BTreeMap<Key, u64>,
    pub(crate) requests: u64,
}

impl Tally {
    /// Adds up slots. One that was never finished has no count and is passed over.
    ///
    /// # Errors
    ///
    /// A count is there whose key is not the one that was written.
    pub(crate) fn of(records: impl Iterator<Item = Record>) -> Result<Self, Damage> {
        let mut tally = Self::default();
        for Record { tag, key, count } in records.filter(|record| record.count != 0) {
            if tag == EMPTY || tag == CLAIMED || tag != key.tag() {
                return Err(Damage);
            }
            tally.requests = tally.requests.checked_add(count).ok_or(Damage)?;
            // No sum by key can exceed the sum of all.
            *tally.by_key.entry(key).or_default() += count;
        }
        Ok(tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Key = Key([0, 1, 0, 0, 0]);
    const TWO: Key = Key([0, 2, 0, 0, 0]);

    fn record(key: Key, count: u64) -> Record {
        Record { tag: key.tag(), key, count }
    }

    #[test]
    fn slots_of_one_key_are_added() {
        let slots = [record(ONE, 2), record(TWO, 3), record(ONE, 5)];
        let tally = Tally::of(slots.into_iter()).unwrap();
        assert_eq!(tally.by_key, BTreeMap::from([(ONE, 7), (TWO, 3)]));
        assert_eq!(tally.requests, 10);
    }

    #[test]
    fn a_slot_that_a_kill_left_unfinished_is_passed_over() {
        let claimed = Record { tag: CLAIMED, key: ONE, count: 0 };
        let uncounted = record(TWO, 0);
        assert_eq!(Tally::of([claimed, uncounted].into_iter()), Ok(Tally::default()));
    }

    #[test]
    fn a_count_under_another_key_is_damage() {
        let wrong = [
            Record { tag: EMPTY, ..record(ONE, 1) },
            Record { tag: CLAIMED, ..record(ONE, 1) },
            Record { key: TWO, ..record(ONE, 1) },
        ];
        for record in wrong {
            assert_eq!(Tally::of([record].into_iter()), Err(Damage));
        }
        let too_many = [record(ONE, u64::MAX), record(TWO, 1)];
        assert_eq!(Tally::of(too_many.into_iter()), Err(Damage));
    }
}
