//! Choices, all of one seed: SplitMix64, by its published constants.

/// Where choices come from.
#[derive(Debug, Clone)]
pub(super) struct Draws(u64);

impl Draws {
    pub(super) const fn of(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `end`; 0 of none.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or_default()
    }

    /// A number of `start..end`.
    pub(super) fn within(&mut self, start: i64, end: i64) -> i64 {
        let span = u64::try_from(end - start).unwrap_or_default();
        start + i64::try_from(self.below(span)).unwrap_or_default()
    }

    /// True so many times in a hundred.
    pub(super) fn chance(&mut self, per_cent: u64) -> bool {
        self.below(100) < per_cent
    }

    /// One of `all`.
    pub(super) fn one<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let place = self.below(all.len() as u64);
        all.get(usize::try_from(place).unwrap_or_default())
    }
}

/// Mixes a number into a digest.
pub(super) fn fold(digest: u64, number: u64) -> u64 {
    mix(digest.rotate_left(7) ^ number)
}

/// The same of an amount.
pub(super) fn fold_minor(digest: u64, amount: i64) -> u64 {
    fold(digest, amount.cast_unsigned())
}

const fn mix(state: u64) -> u64 {
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
